-- Hold every record of a file of outcomes, with the rules that it broke so far, while it is judged.
CREATE TEMPORARY TABLE landed_outcomes (
    line_number bigint PRIMARY KEY,
    raw_text    text NOT NULL,
    rules       text[] NOT NULL,
    loan_id     loan_key,
    is_default  boolean,
    observed_on date
) ON COMMIT DROP
