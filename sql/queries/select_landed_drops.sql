-- Return for each file of outcomes the hash of the bytes from which its newest revision was taken.
SELECT DISTINCT ON (drop_id) drop_id, ARRAY[sha256] AS hashes
FROM outcome_drops
ORDER BY drop_id, revision DESC
