-- Return the row counts of each outcomes file, from its newest revision.
SELECT DISTINCT ON (drop_id) drop_id, received, accepted, quarantined
FROM outcome_drops
ORDER BY drop_id, revision DESC
