-- Return the segments of the given scoring runs by one column or by persona.
SELECT scoring_run_id, segment, place, loans, approval_rate, expected_default_rate, outcomes,
       default_rate, stands_out
FROM segments
WHERE scoring_run_id = ANY (%(scoring_run_ids)s) AND segmented_by = %(segmented_by)s
ORDER BY place, segment
