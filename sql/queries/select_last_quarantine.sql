-- Return for each of the last published batches before a given batch how many rows its file had, how many
-- of these went to quarantine, and how many broke each rule. Rows that were corrected later still count.
WITH nights AS (
    SELECT landed.batch_id, landed.revision, landed.received, landed.quarantined
    FROM batches AS b
    CROSS JOIN LATERAL (
        SELECT l.batch_id, l.revision, l.received, l.quarantined
        FROM batches AS l
        WHERE l.batch_id = b.batch_id AND l.revision <= b.revision
          AND l.corrects_revision IS NULL AND l.state = 'published'
        ORDER BY l.revision DESC
        LIMIT 1
    ) AS landed
    WHERE b.is_current AND b.batch_id < %(batch_id)s AND b.batch_id <> 'history'
      AND landed.received > 0
    ORDER BY b.batch_id DESC
    LIMIT %(nights)s
), broken AS (
    SELECT n.batch_id, rule, count(*) AS rows
    FROM nights AS n
    JOIN quarantine AS q USING (batch_id, revision)
    CROSS JOIN unnest(q.rules) AS rule
    GROUP BY n.batch_id, rule
), by_night AS (
    SELECT batch_id, jsonb_object_agg(rule, rows) AS rules FROM broken GROUP BY batch_id
)
SELECT n.received, n.quarantined, coalesce(r.rules, '{}') AS rules
FROM nights AS n
LEFT JOIN by_night AS r USING (batch_id)
-- Retention deletes quarantined rows, so that a night of a dropped month would look clean.
WHERE n.quarantined = 0 OR r.rules IS NOT NULL
