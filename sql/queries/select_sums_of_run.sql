-- Return what the outcomes of a scoring run add up to, alone and over nights, with the hold-out's figure.
SELECT s.test, s.loans, s.observed, s.expected, s.error, s.floor, s.sum, s.limit_of_sum, s.nights,
       s.loans_over_nights, s.observed_over_nights, s.expected_over_nights, p.baseline AS holdout
FROM outcome_sums AS s
LEFT JOIN performance AS p
    ON p.scoring_run_id = s.scoring_run_id AND p.segment = 'all' AND p.basis = 'realised'
   AND p.metric = CASE s.test WHEN 'auc_drop' THEN 'auc' ELSE 'default_rate' END
WHERE s.scoring_run_id = %(scoring_run_id)s
ORDER BY s.test DESC
