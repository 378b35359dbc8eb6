"""Name the stages of a portfolio that are DAGs."""

STAGES = (
    "scans", "ingest", "outcomes", "train", "federated", "score", "shadow", "metrics", "stream",
    "maintenance",
)  # fmt: skip
