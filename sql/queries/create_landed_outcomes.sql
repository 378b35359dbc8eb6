-- Create the table that holds each record of an outcomes file, with the rules it broke, during checks.
CREATE TEMPORARY TABLE landed_outcomes (
    line_number bigint PRIMARY KEY,
    raw_text    text NOT NULL,
    rules       text[] NOT NULL,
    loan_id     loan_key,
    is_default  boolean,
    observed_on date
) ON COMMIT DROP
