-- Make a complete scoring run the current run of its batch. Return what was counted: nothing is changed
-- if the run is incomplete, or current already.
SELECT unscored_mini_batches, rows, scored, referred
FROM publish_run(%(scoring_run_id)s, %(published_by)s, %(is_asked_for)s)
