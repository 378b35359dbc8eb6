"""The stage score, and scoring on demand: of a file, of a request."""
