-- The newest revision of a file of outcomes.
SELECT drop_id, revision, sha256, received, accepted, quarantined
FROM outcome_drops
WHERE drop_id = %(drop_id)s
ORDER BY revision DESC
LIMIT 1
