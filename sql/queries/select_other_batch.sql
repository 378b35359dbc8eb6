-- Return whether any other batch is published. If none is published, no loan can be known already.
SELECT EXISTS (
    SELECT FROM batches WHERE is_current AND batch_id <> %(batch_id)s
) AS is_there
