-- Delete the applications and quarantined rows of a batch revision that was never published.
SELECT delete_landed_rows(%(batch_id)s, %(revision)s)
