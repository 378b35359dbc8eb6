-- Return the revisions of batches that are landed and not published.
SELECT batch_id, revision FROM batches WHERE state = 'landed'
