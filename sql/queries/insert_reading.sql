-- Record that somebody read the record of one applicant.
INSERT INTO readings (read_by, loan_id, place) VALUES (%(read_by)s, %(loan_id)s, %(place)s)
