-- The alerts of causes; one that a person has resolved is closed for good.
SELECT kind, batch_id, last_batch_id,
       state = 'resolved' AND changed_by <> 'metrics' AND changed_by NOT LIKE 'migration%%'
           AS is_closed_by_person
FROM alerts
WHERE kind = ANY (%(causes)s)
