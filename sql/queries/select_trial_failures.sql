-- Return the last failure of each trial of one training. A later success makes a failure obsolete.
SELECT DISTINCT ON (f.trial) f.trial, f.reason
FROM trial_failures AS f
WHERE f.fingerprint = %(fingerprint)s
  AND NOT EXISTS (
      SELECT FROM trials AS t
      WHERE t.fingerprint = f.fingerprint AND t.trial = f.trial AND t.tried_at > f.failed_at)
ORDER BY f.trial, f.failed_at DESC
