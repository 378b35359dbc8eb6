"""Calculate statistics of arrays, with pure functions that read no files and make no decisions."""
