-- Return a step of a person on a loan, and whether this person can still undo it.
SELECT a.approval_id, a.loan_id, a.decision, a.decided_by, a.decided_at, a.awaits_second, a.confirms, a.approved_up_to,
       a.decided_at + make_interval(mins => r.undo_minutes) AS undo_until,
       a.decision <> 'undo'
       AND a.approval_id = (SELECT max(s.approval_id) FROM standing_approvals AS s
                            WHERE s.loan_id = a.loan_id)
       AND a.after_publication IS NOT NULL
       AND NOT EXISTS (SELECT FROM publications AS p
                       WHERE p.publication_id > a.after_publication AND p.scoring_run_id IS NOT NULL)
       AND clock_timestamp() <= coalesce(a.decided_at + make_interval(mins => r.undo_minutes),
                                         'infinity') AS can_be_undone
FROM approvals AS a
LEFT JOIN desk_rules AS r ON true
WHERE a.approval_id = %(approval_id)s AND a.decided_by = %(decided_by)s
