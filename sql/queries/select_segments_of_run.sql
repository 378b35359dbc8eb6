-- Return the segments of a scoring run, those by persona first.
SELECT * FROM segments
WHERE scoring_run_id = %(scoring_run_id)s
ORDER BY segmented_by <> 'persona', segmented_by, place
