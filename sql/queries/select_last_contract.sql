-- Return the last recorded contract, with the first batch that was read by it.
SELECT batch_id, recorded_at, contract FROM contracts ORDER BY contract_id DESC LIMIT 1
