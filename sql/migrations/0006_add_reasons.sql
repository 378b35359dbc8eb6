ALTER TABLE scores
    ADD COLUMN reason_1 text,
    ADD COLUMN reason_2 text,
    ADD COLUMN reason_3 text,
    ADD COLUMN reason_4 text;
COMMENT ON COLUMN scores.reason_1 IS 'The input that pushed the probability up most against the training loans, in words; of review and decline only';
COMMENT ON COLUMN scores.reason_2 IS 'The second; null where fewer inputs pushed up';
COMMENT ON COLUMN scores.reason_3 IS 'The third';
COMMENT ON COLUMN scores.reason_4 IS 'The fourth';

CREATE OR REPLACE VIEW current_scores AS
    SELECT s.*
    FROM scores AS s
    JOIN scoring_runs AS r ON r.scoring_run_id = s.scoring_run_id AND r.batch_id = s.batch_id
    WHERE r.is_current;
