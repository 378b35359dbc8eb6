-- Close the quality alerts of a batch if the last two batches after it have no open quality alert.
UPDATE alerts AS a SET state = 'resolved', changed_by = 'metrics', changed_at = now()
WHERE a.kind = 'quality' AND a.state <> 'resolved'
  AND EXISTS (
      SELECT FROM (
          SELECT count(*) AS later, count(*) FILTER (WHERE EXISTS (
              SELECT FROM alerts AS o
              WHERE o.kind = 'quality' AND o.batch_id = last.batch_id AND o.state <> 'resolved'
          )) AS alerted
          FROM (
              SELECT b.batch_id FROM batches AS b
              WHERE b.is_current AND b.batch_id <> 'history' AND b.batch_id > a.batch_id
              ORDER BY b.batch_id DESC LIMIT 2
          ) AS last
      ) AS seen
      WHERE seen.later = 2 AND seen.alerted = 0
  )
