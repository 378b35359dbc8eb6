-- Close the alert on a stage that succeeded later; of a stage without batches close all alerts.
UPDATE alerts SET state = 'resolved', changed_by = 'notify', changed_at = now()
WHERE kind = 'failure' AND state <> 'resolved' AND subject = %(stage)s
  AND (%(batch_id)s::text IS NULL OR batch_id = %(batch_id)s)
