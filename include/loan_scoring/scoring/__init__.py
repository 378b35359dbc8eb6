"""The stage score, and scores on demand: of a file, of a request."""
