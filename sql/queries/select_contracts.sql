-- Return every contract by which batches were read, the oldest first.
SELECT recorded_at, batch_id, contract FROM contracts ORDER BY contract_id
