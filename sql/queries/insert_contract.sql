-- Record the contract by which a batch is read, if it differs from the last recorded one.
INSERT INTO contracts (batch_id, contract)
SELECT %(batch_id)s, %(contract)s::json
WHERE %(contract)s IS DISTINCT FROM
    (SELECT contract::text FROM contracts ORDER BY contract_id DESC LIMIT 1)
