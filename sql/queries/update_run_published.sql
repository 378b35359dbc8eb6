-- Make a complete scoring run the current run of its batch.
UPDATE scoring_runs
SET state = 'published', is_current = true, scored = %(scored)s, referred = %(referred)s,
    published_at = coalesce(published_at, now())
WHERE scoring_run_id = %(scoring_run_id)s
