-- Hold the rows of a file of outcomes while they are judged.
CREATE TEMPORARY TABLE landed_outcomes (
    line_number bigint PRIMARY KEY,
    raw_text    text NOT NULL,
    loan_id     loan_key NOT NULL,
    is_default  boolean NOT NULL,
    observed_on date
) ON COMMIT DROP
