-- Correct or confirm fields of a page in the name of a person.
SELECT state, doubtful FROM correct_scan(%(scan_id)s, %(texts)s, %(seen)s, %(loan_id)s::loan_key, %(by)s)
