-- Write one entry of the audit log with a hash of all approvals, promotions and publications as they are.
SELECT seal_records(%(by)s)
