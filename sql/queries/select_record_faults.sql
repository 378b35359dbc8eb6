-- Return approvals, promotions and publications that differ from what the audit log answers for, and
-- batches of which readers see another run than the last publication says.
SELECT kind, record_id, fault FROM record_faults ORDER BY kind, record_id
