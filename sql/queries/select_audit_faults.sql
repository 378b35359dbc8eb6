-- Return audit entries that were changed after they were written, that follow a gap in the numbers, or
-- whose hash does not continue the entry before. An entry from which an erasure took a loan must say what
-- the entry of that erasure, which the chain covers, says of it.
SELECT entry_id, fault
FROM (
    SELECT entry_id,
        CASE
            WHEN hash <> audit_hash(a) AND NOT EXISTS (
                SELECT FROM audit_log AS e
                WHERE e.action = 'loan.erase' AND e.entry_id > a.entry_id
                  AND e.hash = audit_hash(e)
                  AND e.details -> 'redacted' ->> a.entry_id::text = audit_hash(a)
            ) THEN 'it was changed'
            WHEN entry_id <> lag(entry_id, 1, 0::bigint) OVER by_number + 1
                THEN 'entries before it are missing'
            WHEN previous_hash <> lag(hash, 1, repeat('0', 64)) OVER by_number
                THEN 'it does not follow from the one before'
        END AS fault
    FROM audit_log AS a
    WINDOW by_number AS (ORDER BY entry_id)
) AS judged
WHERE fault IS NOT NULL
ORDER BY entry_id
