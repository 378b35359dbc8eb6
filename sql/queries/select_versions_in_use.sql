-- The version in use of each kind: of one moment, so that they were in use together.
SELECT kind, model_version FROM champions
