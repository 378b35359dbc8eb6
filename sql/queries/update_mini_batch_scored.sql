-- Record that the scores of a mini-batch are written.
UPDATE mini_batches
SET state = 'scored', scored = %(scored)s, referred = %(referred)s, seconds = %(seconds)s,
    scored_at = now()
WHERE scoring_run_id = %(scoring_run_id)s AND mini_batch = %(mini_batch)s
