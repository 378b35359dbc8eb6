-- A grade of a rating scale for each score, and the evidence that cut-offs and grades need.
ALTER TABLE scores ADD COLUMN grade text;
COMMENT ON COLUMN scores.grade IS 'Grade of the probability on the contract''s or the model''s scale; null where excluded, without a scale, and in scores that are older than it';
CREATE OR REPLACE VIEW current_scores AS
    SELECT s.*
    FROM scores AS s
    JOIN scoring_runs AS r ON r.scoring_run_id = s.scoring_run_id AND r.batch_id = s.batch_id
    JOIN batches AS b ON b.batch_id = r.batch_id AND b.revision = r.revision
    WHERE r.is_current AND b.is_current;

ALTER TABLE trials ADD COLUMN steps jsonb;
COMMENT ON COLUMN trials.steps IS 'Steps of the isotonic regression of outcomes on out-of-fold probabilities, before calibration, each [lowest, highest, loans, defaults]; null unless the contract has grades derived';

CREATE TABLE model_comparisons (
    challenger  text NOT NULL REFERENCES models,
    champion    text NOT NULL REFERENCES models,
    compared_at timestamptz NOT NULL DEFAULT now(),
    loans       integer NOT NULL CHECK (loans > 0),
    defaults    integer NOT NULL CHECK (defaults BETWEEN 0 AND loans),
    cells       jsonb NOT NULL,
    grades      jsonb,
    PRIMARY KEY (challenger, champion)
);
COMMENT ON TABLE model_comparisons IS 'The loans of one hold-out by the probabilities of two models, from which swap sets are counted; the last comparison of each two';
COMMENT ON COLUMN model_comparisons.challenger IS 'Propensity model that was judged';
COMMENT ON COLUMN model_comparisons.champion IS 'Propensity model that was in use';
COMMENT ON COLUMN model_comparisons.compared_at IS 'When the gates judged the challenger';
COMMENT ON COLUMN model_comparisons.loans IS 'Loans of the hold-out that both models judge';
COMMENT ON COLUMN model_comparisons.defaults IS 'Of these, the loans that defaulted';
COMMENT ON COLUMN model_comparisons.cells IS 'thresholds: the grid; cells: [place of the champion''s probability, place of the challenger''s, loans, defaults], where place k means at or above k thresholds';
COMMENT ON COLUMN model_comparisons.grades IS 'champion and challenger: the grades of each; loans and defaults: by the champion''s grade (rows) and the challenger''s (columns); null if a model has no scale';
