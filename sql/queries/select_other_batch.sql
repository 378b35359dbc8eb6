-- Whether any other batch is published: without one no loan can be known.
SELECT EXISTS (
    SELECT FROM batches WHERE is_current AND batch_id <> %(batch_id)s
) AS is_there
