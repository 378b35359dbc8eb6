-- Return the champion version of each kind. One statement is used, so that the versions belong together.
SELECT kind, model_version FROM models_in_use
