"""Check a landed batch as a whole with Great Expectations, by what the contract implies."""
