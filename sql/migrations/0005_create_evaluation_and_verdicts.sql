ALTER TABLE models ADD COLUMN evaluation jsonb;
COMMENT ON COLUMN models.evaluation IS 'What the model card shows: hold-out policy, ROC points, calibration by decile, score histogram, permutation importance, approval by group; null for personas';

-- The migration of an append-only table adds columns; rows that stand are all of a training.
ALTER TABLE promotions
    DROP CONSTRAINT promotions_verdict_check,
    ADD CONSTRAINT promotions_verdict_check
        CHECK (verdict IN ('promoted', 'refused', 'rejected', 'timed_out')),
    ADD COLUMN occasion text NOT NULL DEFAULT 'training'
        CHECK (occasion IN ('training', 'command', 'rollback')),
    ADD COLUMN comment text;
COMMENT ON TABLE promotions IS 'Append-only: every verdict on a version, by whom, on what evidence; the last promoted row of a kind is its champion';
COMMENT ON COLUMN promotions.verdict IS 'promoted: in use from then on; refused: a gate failed; rejected: a person said no; timed_out: nobody answered in time';
COMMENT ON COLUMN promotions.occasion IS 'training: judged after it was fitted; command: a person promoted it; rollback: a person put back what the champion had replaced';
COMMENT ON COLUMN promotions.comment IS 'What the person who decided wrote; never null where failed gates were overruled';
COMMENT ON COLUMN promotions.evidence IS 'gates: each gate with passed, sentence and figures; challenger, champion, auc, champion_auc, holdout; overruled: failed gates that a person passed over';
COMMENT ON COLUMN promotions.decided_by IS 'policy:auto; airflow:USER, who answered in the Airflow UI; cli:USER, the account of the operating system that ran the command; nobody where it timed out';
