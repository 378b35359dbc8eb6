-- Record how many outcomes a scoring run has, and until which changes they were read.
INSERT INTO outcome_coverage (scoring_run_id, due, known, is_settled, counted_by, outcomes_as_of,
                              outcomes_change_id, decided_at)
VALUES
    (%(scoring_run_id)s, %(due)s, %(known)s, %(is_settled)s, %(counted_by)s,
     %(outcomes_as_of)s, %(outcomes_change_id)s, %(decided_at)s)
