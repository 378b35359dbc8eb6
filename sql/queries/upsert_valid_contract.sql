-- Keep the contract as the last valid one, if it differs from the one that is kept.
INSERT INTO valid_contracts AS kept (contract) VALUES (%(contract)s)
ON CONFLICT (is_only) DO UPDATE SET contract = excluded.contract, read_at = now()
WHERE kept.contract <> excluded.contract
