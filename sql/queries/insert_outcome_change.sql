-- Record that a file of outcomes began or ceased to count, and return the number and time of the change.
INSERT INTO outcome_changes (change, drop_id, revision, changed_by, comment)
VALUES (%(change)s, %(drop_id)s, %(revision)s, %(changed_by)s, %(comment)s)
RETURNING change_id, changed_at
