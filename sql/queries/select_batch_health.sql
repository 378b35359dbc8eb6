-- Return one row for each batch, with rows received, loans scored and open alerts.
SELECT batch_id, revision, source, received, accepted, quarantined, scored, referred,
       propensity_version, open_alerts
FROM batch_health
ORDER BY batch_id
