-- Record that a channel accepted messages.
UPDATE deliveries SET delivered_at = now(), message_id = %(message_id)s, tries = tries + 1, error = NULL
WHERE channel = %(channel)s AND delivered_at IS NULL
  AND (alert_id, number) IN (SELECT * FROM unnest(%(alert_ids)s::bigint[], %(numbers)s::integer[]))
