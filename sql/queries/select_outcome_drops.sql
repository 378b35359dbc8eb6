-- What the files of outcomes brought, newest revision of each.
SELECT DISTINCT ON (drop_id) drop_id, received, accepted, quarantined
FROM outcome_drops
ORDER BY drop_id, revision DESC
