-- Return the backups that may hold a loan, the oldest first.
SELECT folder, taken_at, ends_on, is_encrypted FROM backups ORDER BY taken_at
