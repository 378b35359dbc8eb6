-- Store the contract's rules of the desk.
INSERT INTO desk_rules (amount_column, four_eyes_above, undo_minutes)
VALUES (%(amount_column)s, %(four_eyes_above)s, %(undo_minutes)s)
ON CONFLICT (is_only) DO UPDATE SET
    amount_column = excluded.amount_column,
    four_eyes_above = excluded.four_eyes_above,
    undo_minutes = excluded.undo_minutes,
    changed_at = now()
