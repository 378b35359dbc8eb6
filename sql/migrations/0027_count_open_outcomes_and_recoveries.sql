-- Monthly files of a whole book: open loans are counted, a row that repeats what counts already is no new
-- statement, and recovered amounts are kept (docs/adr/0034).
ALTER TABLE outcome_drops ADD COLUMN repeated integer NOT NULL DEFAULT 0;
ALTER TABLE outcome_drops ADD COLUMN open integer NOT NULL DEFAULT 0;
ALTER TABLE outcome_drops DROP CONSTRAINT outcome_drops_check;
ALTER TABLE outcome_drops ADD CONSTRAINT outcome_drops_check
    CHECK (received = accepted + open + quarantined AND repeated <= accepted);
COMMENT ON COLUMN outcome_drops.received IS 'Records in the file; always accepted + open + quarantined';
COMMENT ON COLUMN outcome_drops.repeated IS 'Accepted rows that only say what counted already: they are no new statements';
COMMENT ON COLUMN outcome_drops.open IS 'Rows of loans whose state is no outcome yet: neither taken nor refused';

CREATE TABLE outcome_repeats (
    change_id         bigint NOT NULL,
    repeats_change_id bigint NOT NULL,
    loan_ids          loan_key[] NOT NULL CHECK (cardinality(loan_ids) > 0),
    PRIMARY KEY (change_id, repeats_change_id)
);
CREATE INDEX outcome_repeats_by_repeated ON outcome_repeats (repeats_change_id);
COMMENT ON TABLE outcome_repeats IS 'The loans on which a file only repeats what another file says. If the other file ceases to count, the rows become statements of their own in outcome_revisions';
COMMENT ON COLUMN outcome_repeats.change_id IS 'The row of outcome_changes that ingested the file that repeats';
COMMENT ON COLUMN outcome_repeats.repeats_change_id IS 'The row of outcome_changes that ingested the file that is repeated';
COMMENT ON COLUMN outcome_repeats.loan_ids IS 'The loans, in order';

ALTER TABLE outcome_revisions ADD COLUMN recovered double precision;
ALTER TABLE outcomes ADD COLUMN recovered double precision;
COMMENT ON COLUMN outcome_revisions.recovered IS 'Amount recovered of the defaulted loan, in the unit of its amount; null if the file does not say, and for paid loans';
COMMENT ON COLUMN outcomes.recovered IS 'Amount recovered of the defaulted loan, in the unit of its amount; null if the file does not say, and for paid loans';
COMMENT ON COLUMN outcome_changes_by_batch.loans IS 'Loans of the batch whose outcome or recovered amount was another one, or known, before the change';

CREATE OR REPLACE VIEW outcome_history AS
    SELECT
        s.loan_id, s.is_default, s.observed_on, s.drop_id, s.revision, f.is_correction,
        CASE WHEN f.state <> 'current' THEN f.state
             WHEN o.loan_id IS NULL THEN 'overruled'
             ELSE 'current' END AS state,
        s.change_id, f.taken_at, f.changed_at, f.changed_by, f.comment, s.recovered
    FROM outcome_revisions AS s
    JOIN outcome_files AS f USING (change_id)
    LEFT JOIN outcomes AS o
        ON o.loan_id = s.loan_id AND o.drop_id = s.drop_id AND o.revision = s.revision
       AND o.observed_on IS NOT DISTINCT FROM s.observed_on;
COMMENT ON COLUMN outcome_history.recovered IS 'Amount recovered of the defaulted loan; null if the file does not say';

CREATE OR REPLACE FUNCTION outcomes_as_of(moment timestamptz) RETURNS SETOF outcomes
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    WITH current_files AS (
        SELECT t.change_id, t.change = 'corrected' AS is_correction
        FROM (SELECT DISTINCT ON (drop_id) drop_id, revision, change
              FROM outcome_changes
              WHERE changed_at <= moment
              ORDER BY drop_id, revision DESC, change_id DESC) AS l
        JOIN outcome_changes AS t USING (drop_id, revision)
        WHERE l.change <> 'withdrawn' AND t.change IN ('taken', 'corrected')
    ), stated AS (
        SELECT s.*,
               max(s.change_id) FILTER (WHERE f.is_correction) OVER (PARTITION BY s.loan_id)
                   AS corrected_by
        FROM outcome_revisions AS s
        JOIN current_files AS f USING (change_id)
    )
    SELECT DISTINCT ON (loan_id) loan_id, is_default, observed_on, drop_id, revision, recovered
    FROM stated
    WHERE change_id >= coalesce(corrected_by, 0)
    ORDER BY loan_id, observed_on DESC NULLS LAST, change_id DESC
$$;

COMMENT ON COLUMN performance.metric IS 'auc, gini, ks, f1, precision, recall, brier, log_loss, calibration_slope, default_rate, default_rate_decile_1 (lowest scores) to _10, ddm, approval_rate, loss, loss_of_approved, loss_given_default';
