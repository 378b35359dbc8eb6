"""Read text as values of one type."""
