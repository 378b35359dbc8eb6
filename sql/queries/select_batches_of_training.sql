-- Return the batches that a training has read, with their counts and the rules that quarantined rows broke.
SELECT b.batch_id, b.revision, b.source, b.sha256, b.landed_at, b.received, b.accepted, b.quarantined,
       (SELECT string_agg(rule || ' ' || times, ', ' ORDER BY times DESC, rule)
        FROM (SELECT rule, count(*) AS times
              FROM quarantine AS q, unnest(q.rules) AS rule
              WHERE q.batch_id = b.batch_id AND q.revision = b.revision
              GROUP BY rule) AS broken) AS rules
FROM unnest(%(batches)s::text[], %(revisions)s::integer[]) AS used (batch_id, revision)
JOIN batches AS b USING (batch_id, revision)
ORDER BY b.batch_id, b.revision
