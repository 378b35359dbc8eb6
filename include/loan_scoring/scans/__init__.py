"""Read scanned application forms, and give what is certain to the ordinary ingest."""
