-- Record the input and output of one scoring on demand.
INSERT INTO calls
    (called_on, called_at, called_by, purpose, propensity_version, personas_version, applications,
     input, output, seconds)
VALUES
    (%(called_on)s, %(called_at)s, %(called_by)s, %(purpose)s, %(propensity_version)s,
     %(personas_version)s, %(applications)s, %(input)s, %(output)s, %(seconds)s)
RETURNING call_id
