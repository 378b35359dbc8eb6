-- Return the version in use of each kind, in one statement: the versions were in use together.
SELECT kind, model_version FROM champions
