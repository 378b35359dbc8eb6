-- Return when outcomes were last taken in. Withdrawing a file is no new knowledge.
SELECT max(changed_at) AS taken_at FROM outcome_changes WHERE change IN ('taken', 'corrected')
