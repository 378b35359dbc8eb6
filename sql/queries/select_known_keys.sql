-- Return which of these loans are applications of another batch's current revision.
-- The inner SELECT hides the array from the planner, which would weigh each element and scan the table.
SELECT a.loan_id
FROM applications AS a
JOIN batches AS b USING (batch_id, revision)
WHERE a.loan_id = ANY(ARRAY(SELECT unnest(%(loan_ids)s::loan_key[])))
  AND b.is_current AND b.batch_id <> %(batch_id)s
