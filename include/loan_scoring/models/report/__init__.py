"""Write the report of a model: its whole file for a validator, filled from records, gaps marked."""
