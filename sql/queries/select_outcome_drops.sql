-- Return what each file of outcomes brought, by its newest revision.
SELECT DISTINCT ON (drop_id) drop_id, received, accepted, quarantined
FROM outcome_drops
ORDER BY drop_id, revision DESC
