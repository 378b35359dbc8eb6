-- Create the temporary table that holds the records of an outcomes file, and the rules that each record
-- broke, while the file is checked.
CREATE TEMPORARY TABLE landed_outcomes (
    line_number bigint PRIMARY KEY,
    rules       text[] NOT NULL,
    loan_id     loan_key,
    is_default  boolean,
    observed_on date,
    recovered   double precision
) ON COMMIT DROP
