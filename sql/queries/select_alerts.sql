-- Return alerts with their evidence. Alerts that are not resolved come first, and resolved alerts follow,
-- the last resolved first.
SELECT a.alert_id, a.batch_id, a.last_batch_id, a.batches, a.severity, a.kind, a.subject, a.message,
       a.evidence, a.state, a.raised_at, a.changed_by, a.changed_at, a.comment, a.snoozed_until, a.assignee,
       coalesce(a.snoozed_until > current_date, false) AS is_snoozed,
       ARRAY(SELECT DISTINCT b.batch_id FROM batches AS b
              WHERE b.batch_id IN (a.batch_id, a.last_batch_id)
                AND b.batch_id <> 'history') AS landed
FROM alerts AS a
WHERE (%(batch_id)s::text IS NULL OR %(batch_id)s BETWEEN a.batch_id AND a.last_batch_id)
  AND (%(alert_id)s::bigint IS NULL OR a.alert_id = %(alert_id)s)
ORDER BY a.state = 'resolved', coalesce(a.snoozed_until > current_date, false),
         CASE WHEN a.state = 'resolved' THEN extract(epoch FROM a.changed_at) ELSE 0 END DESC,
         a.severity, a.last_batch_id DESC, a.alert_id DESC
LIMIT %(alerts)s
