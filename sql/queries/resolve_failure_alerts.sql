-- Close the alert on a stage that failed for a batch and has succeeded since. For a stage that has no
-- batches, close all alerts on that stage.
UPDATE alerts SET state = 'resolved', changed_by = 'notify', changed_at = now()
WHERE kind = 'failure' AND state <> 'resolved' AND subject = %(stage)s
  AND (%(batch_id)s::text IS NULL OR batch_id = %(batch_id)s)
