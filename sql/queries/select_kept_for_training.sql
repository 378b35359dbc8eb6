-- Count the labelled applications that remain if retention drops the batches before a month.
SELECT count(*) AS loans
FROM current_applications AS a
JOIN outcomes AS o USING (loan_id)
WHERE a.batch_id = 'history' OR a.batch_id >= %(month)s
