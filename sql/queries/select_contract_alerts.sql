-- Return the broken contracts about which an alert is not resolved.
SELECT subject FROM alerts WHERE kind = 'contract' AND state <> 'resolved'
