"""The stages ingest and outcomes: read files, check them, publish a batch in one step."""
