"""The stages ingest and outcomes: take in files, check them, publish a batch at once."""
