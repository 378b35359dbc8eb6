-- Return the contract when it was valid last.
SELECT contract FROM valid_contracts
