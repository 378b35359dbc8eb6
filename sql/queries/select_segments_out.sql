-- Return the segments of a scoring run that stand out, the farthest first, for the evidence of an alert.
SELECT segmented_by || '=' || segment AS segment, outcomes, default_rate, expected_of_outcomes,
       difference, p_adjusted
FROM segments
WHERE scoring_run_id = %(scoring_run_id)s AND stands_out
ORDER BY abs(difference) DESC, 1
