-- Delete the applications and quarantined rows of a batch revision that was never published.
WITH unpublished AS (
    SELECT batch_id, revision
    FROM batches
    WHERE batch_id = %(batch_id)s AND revision = %(revision)s AND state <> 'published'
), quarantined AS (
    DELETE FROM quarantine USING unpublished
    WHERE quarantine.batch_id = unpublished.batch_id AND quarantine.revision = unpublished.revision
)
DELETE FROM applications USING unpublished
WHERE applications.batch_id = unpublished.batch_id AND applications.revision = unpublished.revision
