-- Return how the nights of the last 30 days met the service level of the contract.
SELECT nights, nights_on_time, share_on_time, scored_within_minutes, objective, error_budget,
       error_budget_left, landing_to_scores_seconds_p50, landing_to_scores_seconds_p95,
       landing_to_scores_seconds_p99
FROM slo
