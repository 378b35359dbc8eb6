-- Make a withdrawn batch revision current again, with the scoring run that readers saw last.
SELECT restore_batch(%(batch_id)s, %(revision)s, %(comment)s, %(restored_by)s) AS scoring_run_id
