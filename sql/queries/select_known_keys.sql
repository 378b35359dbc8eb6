-- Return which of the given loans are applications in the current revision of another batch.
-- The inner SELECT hides the array from the planner. Otherwise the planner would estimate each element
-- and scan the whole table.
SELECT a.loan_id
FROM applications AS a
JOIN batches AS b USING (batch_id, revision)
WHERE a.loan_id = ANY(ARRAY(SELECT unnest(%(loan_ids)s::loan_key[])))
  AND b.is_current AND b.batch_id <> %(batch_id)s
