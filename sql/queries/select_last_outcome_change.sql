-- Return the last change of outcomes, which says as of when they are read.
SELECT change_id, changed_at FROM outcome_changes ORDER BY change_id DESC LIMIT 1
