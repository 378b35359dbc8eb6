-- Alerts on the system itself belong to no revision and no scoring run, but to their nights too.
CREATE OR REPLACE VIEW batch_health AS
    SELECT
        b.batch_id, b.revision, b.source, b.received, b.accepted, b.quarantined,
        r.scoring_run_id, r.scored, r.referred, r.propensity_version,
        (SELECT count(*) FROM drift AS d
          WHERE d.scoring_run_id = r.scoring_run_id AND d.level <> 'stable') AS drift_findings,
        (SELECT count(*) FROM alerts AS a
          WHERE a.state <> 'resolved'
            AND CASE WHEN a.kind IN ('failure', 'delivery')
                     THEN b.batch_id BETWEEN a.batch_id AND a.last_batch_id
                     WHEN a.revision IS NULL
                     THEN b.batch_id BETWEEN a.batch_id AND a.last_batch_id
                          AND EXISTS (SELECT FROM findings AS f
                                      WHERE f.scoring_run_id = r.scoring_run_id
                                        AND f.cause = a.kind)
                     ELSE a.batch_id = b.batch_id AND a.revision = b.revision END) AS open_alerts,
        b.published_at AS landed_at, r.published_at AS scored_at
    FROM batches AS b
    LEFT JOIN scoring_runs AS r ON r.batch_id = b.batch_id AND r.is_current
    WHERE b.is_current;
