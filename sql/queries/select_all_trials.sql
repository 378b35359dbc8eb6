-- Return every trial, for the mirror in MLflow.
SELECT * FROM trials ORDER BY tried_at, place
