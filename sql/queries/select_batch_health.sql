-- Return a row for each batch: rows received, loans scored, open alerts.
SELECT batch_id, revision, source, received, accepted, quarantined, scored, referred,
       propensity_version, open_alerts
FROM batch_health
ORDER BY batch_id
