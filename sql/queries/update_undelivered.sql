-- Record that a channel did not accept messages, and why.
UPDATE deliveries SET tries = tries + 1, error = %(error)s
WHERE channel = %(channel)s AND delivered_at IS NULL
  AND (alert_id, number) IN (SELECT * FROM unnest(%(alert_ids)s::bigint[], %(numbers)s::integer[]))
