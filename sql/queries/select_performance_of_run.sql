-- Return every performance metric of a scoring run, for all loans and for each persona.
-- Realised metrics have the time of the last change of outcomes before they were measured.
SELECT segment, metric, basis, value, lower, upper, baseline, loans, c.changed_at AS outcomes_as_of
FROM performance
LEFT JOIN outcome_changes AS c ON c.change_id = outcomes_change_id
WHERE scoring_run_id = %(scoring_run_id)s
ORDER BY segment, metric, basis
