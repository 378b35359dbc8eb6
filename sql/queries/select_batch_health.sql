-- One line a batch: what came in, what was scored, what is alerted.
SELECT batch_id, revision, source, received, accepted, quarantined, scored, referred,
       propensity_version, open_alerts
FROM batch_health
ORDER BY batch_id
