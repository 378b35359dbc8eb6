-- Queue messages for a channel about alerts that opened, became critical or closed since the channel's
-- last message about them.
-- A warning about a column of a batch waits until the batch has drift tests, because these may merge the
-- alert into an alert on bad data. Warnings about quarantined rows, and about refused batches, do not
-- wait, because they are never merged.
INSERT INTO deliveries (channel, alert_id, number, event, severity, message)
SELECT %(channel)s, a.alert_id, coalesce(told.number, 0) + 1, due.event, a.severity, a.message
FROM alerts AS a
LEFT JOIN LATERAL (
    SELECT d.number, d.event, d.severity FROM deliveries AS d
    WHERE d.channel = %(channel)s AND d.alert_id = a.alert_id
    ORDER BY d.number DESC LIMIT 1
) AS told ON true
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN coalesce(told.event, 'resolved') = 'resolved' THEN
            CASE WHEN a.state = 'open' AND a.severity = ANY (%(severities)s)
                  AND a.kind = ANY (%(kinds)s)
                  AND NOT (a.kind = 'delivery' AND a.subject = %(channel)s)
                  AND NOT (a.kind = 'quality' AND a.severity = 'warning'
                           AND a.batch_id <> 'history'
                           AND NOT a.evidence ?| ARRAY['quarantined', 'quarantined:' || a.subject]
                           AND NOT EXISTS (
                               SELECT FROM batches AS b
                               WHERE b.batch_id = a.batch_id AND b.revision = a.revision
                                 AND b.state = 'refused')
                           AND NOT EXISTS (
                               SELECT FROM scoring_runs AS r
                               JOIN drift AS d ON d.scoring_run_id = r.scoring_run_id
                               WHERE r.batch_id = a.batch_id AND r.revision = a.revision))
                 THEN 'opened' END
        WHEN a.state = 'resolved' THEN 'resolved'
        WHEN a.severity = 'critical' AND told.severity = 'warning' THEN 'escalated'
    END AS event
) AS due
WHERE due.event IS NOT NULL
