-- Return the number of the last delivery of any look-up, null if there is none.
SELECT max(delivery_id) AS delivery_id FROM lookup_deliveries
