-- Return which of the given loans are applications in the current revision of another batch.
-- The inner SELECT hides the array from the planner. Otherwise the planner would estimate each element
-- and scan the whole table.
SELECT loan_id
FROM loans
WHERE loan_id = ANY(ARRAY(SELECT unnest(%(loan_ids)s::loan_key[])))
  AND batch_id <> %(batch_id)s
