-- Which of these loans are applications of another batch's current revision.
SELECT a.loan_id
FROM applications AS a
JOIN batches AS b USING (batch_id, revision)
WHERE a.loan_id = ANY(%(loan_ids)s::loan_key[]) AND b.is_current AND b.batch_id <> %(batch_id)s
