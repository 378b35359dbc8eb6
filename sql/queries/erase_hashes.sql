-- Replace the hash of a file by that of the file without the erased loan, so that the rewritten file is
-- no new delivery.
WITH files AS (
    UPDATE batch_files SET sha256 = %(new_sha256)s WHERE sha256 = %(old_sha256)s
), outcomes AS (
    UPDATE outcome_drops SET sha256 = %(new_sha256)s WHERE sha256 = %(old_sha256)s
), lookups AS (
    UPDATE lookup_deliveries SET sha256 = %(new_sha256)s WHERE sha256 = %(old_sha256)s
), landed AS (
    DELETE FROM landing_files WHERE sha256 = %(old_sha256)s
), origins AS (
    UPDATE batches
    SET origin_sha256 = CASE WHEN origin_sha256 = %(old_sha256)s THEN %(new_sha256)s
                        ELSE origin_sha256 END,
        sha256 = CASE WHEN sha256 = %(old_sha256)s THEN %(new_sha256)s ELSE sha256 END
    WHERE %(old_sha256)s IN (sha256, origin_sha256)
)
UPDATE models SET baseline_artifact = %(artifact)s, baseline_sha256 = %(new_sha256)s
WHERE baseline_sha256 = %(old_sha256)s AND %(artifact)s::text IS NOT NULL
