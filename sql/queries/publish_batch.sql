-- Publish a landed batch revision. It becomes current only if no newer revision is current.
SELECT publish_batch(%(batch_id)s, %(revision)s, %(published_by)s) AS is_current
