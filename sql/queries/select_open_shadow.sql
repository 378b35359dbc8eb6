-- Return the challenger that is in shadow or a canary, if there is one.
SELECT * FROM shadows WHERE ended_at IS NULL
