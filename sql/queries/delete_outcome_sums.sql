-- Delete what the outcomes of some scoring runs add up to, so that it can be written again.
DELETE FROM outcome_sums WHERE scoring_run_id = ANY (%(scoring_run_ids)s)
