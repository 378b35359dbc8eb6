-- Record that a landed batch revision failed its checks.
SELECT refuse_batch(%(batch_id)s, %(revision)s)
