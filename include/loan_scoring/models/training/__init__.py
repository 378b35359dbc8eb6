"""The stage train: leak gate, candidates, personas, and the fit that is registered."""
