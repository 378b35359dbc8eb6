-- Return every trial, to copy all of them to MLflow.
SELECT * FROM trials ORDER BY tried_at, place
