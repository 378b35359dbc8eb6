-- Return the batches before a given batch, the latest first. The batch `history` comes last.
SELECT batch_id, revision, source, received, accepted, quarantined, scoring_run_id, scored, referred,
       propensity_version, drift_findings, open_alerts, landed_at, scored_at
FROM batch_health
WHERE (%(before)s::text IS NULL
       OR (batch_id <> 'history', batch_id) < (%(before)s <> 'history', %(before)s))
ORDER BY (batch_id <> 'history') DESC, batch_id DESC
LIMIT %(limit)s
