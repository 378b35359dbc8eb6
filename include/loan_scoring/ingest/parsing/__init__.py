"""Read the texts of a file as values, one module for each kind of type."""
