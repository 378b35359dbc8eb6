-- Return the rules of the desk that the functions of the owner enforce.
SELECT amount_column, four_eyes_above, undo_minutes FROM desk_rules
