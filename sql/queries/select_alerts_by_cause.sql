-- Return the alerts of the given causes, with a flag that says whether a person closed the alert.
-- An alert that a person closed never opens again.
SELECT kind, batch_id, last_batch_id,
       state = 'resolved' AND changed_by <> 'metrics' AND changed_by NOT LIKE 'migration%%'
           AS is_closed_by_person
FROM alerts
WHERE kind = ANY (%(causes)s)
