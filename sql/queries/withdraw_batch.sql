-- Take the current revision of a batch out: readers see it no longer, and a person said why.
SELECT withdraw_batch(%(batch_id)s, %(comment)s, %(withdrawn_by)s)
