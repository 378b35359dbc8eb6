-- Who signed a model: the review of a validator, and the acceptance of those who will use it.
CREATE TABLE model_signatures (
    signature_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_version   text NOT NULL REFERENCES models,
    signed_as       text NOT NULL CHECK (signed_as IN ('review', 'acceptance')),
    signed_by       text NOT NULL CHECK (signed_by <> ''),
    signed_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    comment         text NOT NULL CHECK (comment <> ''),
    artifact_sha256 text NOT NULL,
    personas_sha256 text NOT NULL,
    UNIQUE (model_version, signed_as)
);
-- airflow:ann and cli:ann are one person.
CREATE UNIQUE INDEX model_signatures_by_person
    ON model_signatures (model_version, lower(regexp_replace(signed_by, '^[a-z]+:', '')));
COMMENT ON TABLE model_signatures IS 'Append-only: who reviewed and who accepted a pair of models, two different people';
COMMENT ON COLUMN model_signatures.signature_id IS 'Counts up';
COMMENT ON COLUMN model_signatures.model_version IS 'Propensity version of the pair';
COMMENT ON COLUMN model_signatures.signed_as IS 'review: an independent person has checked the model; acceptance: those who will use it accept it';
COMMENT ON COLUMN model_signatures.signed_by IS 'airflow:USER, or cli:USER (the account that ran the command)';
COMMENT ON COLUMN model_signatures.signed_at IS 'When';
COMMENT ON COLUMN model_signatures.comment IS 'What the person found, in the words of the person';
COMMENT ON COLUMN model_signatures.artifact_sha256 IS 'Hash of the propensity artifact that was signed';
COMMENT ON COLUMN model_signatures.personas_sha256 IS 'Hash of the personas artifact that was signed';
CREATE TRIGGER model_signatures_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON model_signatures
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

COMMENT ON COLUMN promotions.evidence IS 'gates: each gate with passed, sentence and figures; challenger, champion, auc, champion_auc, holdout; overruled: failed gates that a person passed over; signatures: who had reviewed and accepted the pair';
