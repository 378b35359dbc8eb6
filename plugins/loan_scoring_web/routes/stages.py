"""Name the stages of a portfolio that are DAGs."""

STAGES = ("ingest", "outcomes", "train", "score", "shadow", "metrics", "stream", "maintenance")
