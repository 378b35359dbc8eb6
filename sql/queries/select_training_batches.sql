-- Return the batches of the labelled applications, so that a model can record its training data.
SELECT a.batch_id, a.revision, b.sha256, b.source, count(*) AS applications,
       count(*) FILTER (WHERE o.is_default) AS defaults
FROM current_applications AS a
JOIN outcomes AS o USING (loan_id)
JOIN batches AS b ON b.batch_id = a.batch_id AND b.revision = a.revision
GROUP BY a.batch_id, a.revision, b.sha256, b.source
ORDER BY a.batch_id
