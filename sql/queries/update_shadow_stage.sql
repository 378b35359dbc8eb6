-- Move the open shadow to a stage, against a champion. A question to a person belongs to the stage before.
UPDATE shadows
SET stage = %(stage)s, champion = %(champion)s, reason = %(reason)s, asked_batch_id = NULL
WHERE ended_at IS NULL AND propensity_version = %(propensity_version)s
