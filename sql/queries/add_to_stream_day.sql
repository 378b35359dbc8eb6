-- Add the rows of a micro-batch to the counts of an open day, and return the counts of before.
UPDATE batches
SET received = received + %(accepted)s + %(quarantined)s, accepted = accepted + %(accepted)s,
    quarantined = quarantined + %(quarantined)s, header = %(header)s
WHERE batch_id = %(batch_id)s AND revision = %(revision)s AND kind = 'stream'
  AND state = 'landed' AND sealed_at IS NULL
RETURNING received - %(accepted)s - %(quarantined)s AS received_before
