-- The version in use of a kind.
SELECT model_version FROM champions WHERE kind = %(kind)s
