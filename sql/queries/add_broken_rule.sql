-- Add a broken rule to quarantined rows of a revision. Rows are written anew, because stages may not
-- update this table.
WITH without_rule AS (
    DELETE FROM quarantine
    WHERE batch_id = %(batch_id)s AND revision = %(revision)s
      AND line_number = ANY (%(line_numbers)s::bigint[])
    RETURNING batch_id, revision, line_number, raw_text, rules
)
INSERT INTO quarantine (batch_id, revision, line_number, raw_text, rules)
SELECT batch_id, revision, line_number, raw_text, rules || %(rule)s::text
FROM without_rule
