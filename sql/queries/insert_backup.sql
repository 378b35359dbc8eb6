-- List a backup that holds the portfolio, unless it is there.
INSERT INTO backups (folder, taken_at, ends_on, is_encrypted)
SELECT %(folder)s, %(taken_at)s::timestamptz, %(ends_on)s::date, %(is_encrypted)s
WHERE NOT EXISTS (
    SELECT FROM backups WHERE folder = %(folder)s AND taken_at = %(taken_at)s::timestamptz
)
