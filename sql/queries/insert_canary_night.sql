-- Record how the canary of a scoring run was judged.
INSERT INTO canary_nights
    (scoring_run_id, batch_id, propensity_version, champion, share, loans, approval_rate,
     champion_approval_rate, mean_probability, champion_mean_probability, stopped_by)
VALUES
    (%(scoring_run_id)s, %(batch_id)s, %(propensity_version)s, %(champion)s, %(share)s, %(loans)s,
     %(approval_rate)s, %(champion_approval_rate)s, %(mean_probability)s,
     %(champion_mean_probability)s, %(stopped_by)s)
