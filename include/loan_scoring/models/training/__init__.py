"""The stage train: leak gate, candidates, personas, fit and registration."""
