-- Delete one quarantined row, and count it out of its revision.
WITH gone AS (
    DELETE FROM quarantine
    WHERE batch_id = %(batch_id)s AND revision = %(revision)s AND line_number = %(line_number)s
    RETURNING batch_id, revision
), counted AS (
    UPDATE outcome_drops AS d
    SET received = received - 1, quarantined = quarantined - 1
    FROM gone WHERE d.drop_id = gone.batch_id AND d.revision = gone.revision
)
UPDATE batches AS b
SET received = received - 1, quarantined = quarantined - 1
FROM gone WHERE b.batch_id = gone.batch_id AND b.revision = gone.revision
