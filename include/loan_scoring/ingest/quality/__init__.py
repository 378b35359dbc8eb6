"""Check a landed batch as a whole with Great Expectations, against limits from the contract."""
