-- Record how a challenger in shadow compares with the champion in a night.
INSERT INTO shadow_nights
    (propensity_version, batch_id, champion, scoring_run_id, shadow_run_id, loans, agreed, comes_in,
     goes_out, decisions, approval_rate, champion_approval_rate, mean_probability,
     champion_mean_probability, psi, outcomes, defaults, auc, champion_auc, auc_lower, auc_upper,
     log_loss_difference, log_loss_lower, log_loss_upper,
     outcomes_change_id)
VALUES
    (%(propensity_version)s, %(batch_id)s, %(champion)s, %(scoring_run_id)s, %(shadow_run_id)s,
     %(loans)s, %(agreed)s, %(comes_in)s, %(goes_out)s, %(decisions)s, %(approval_rate)s,
     %(champion_approval_rate)s, %(mean_probability)s, %(champion_mean_probability)s, %(psi)s,
     %(outcomes)s, %(defaults)s, %(auc)s, %(champion_auc)s, %(auc_lower)s, %(auc_upper)s,
     %(log_loss_difference)s, %(log_loss_lower)s, %(log_loss_upper)s,
     %(outcomes_change_id)s)
