SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- Applications that arrive one by one make a batch of their business date, which is sealed at its end.
ALTER TABLE batches
    ADD COLUMN kind text NOT NULL DEFAULT 'file' CHECK (kind IN ('file', 'stream')),
    ADD COLUMN sealed_at timestamptz,
    ADD CHECK (sealed_at IS NULL OR kind = 'stream');
CREATE INDEX batches_of_streams ON batches (batch_id) WHERE kind = 'stream';
COMMENT ON COLUMN batches.kind IS 'file: landed as a whole; stream: its applications arrived one by one';
COMMENT ON COLUMN batches.sealed_at IS 'When the day of a stream was closed, so that nothing more comes in; null while it is open, and for files';

CREATE TABLE stream_messages (
    message_id     text PRIMARY KEY CHECK (message_id <> ''),
    body_sha256    text NOT NULL,
    batch_id       text COLLATE "C" NOT NULL,
    revision       integer NOT NULL,
    line_number    bigint NOT NULL,
    loan_id        loan_key,
    scoring_run_id text REFERENCES scoring_runs,
    sent_at        timestamptz,
    received_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (batch_id, revision) REFERENCES batches,
    UNIQUE (batch_id, revision, line_number),
    CHECK ((loan_id IS NULL) = (scoring_run_id IS NULL))
);
CREATE INDEX stream_messages_by_loan ON stream_messages (loan_id);
COMMENT ON TABLE stream_messages IS 'A message of a stream that was taken in; the same message again is answered from what is written';
COMMENT ON COLUMN stream_messages.message_id IS 'The sender''s id of the message, or sha256: and the hash of a message without one';
COMMENT ON COLUMN stream_messages.body_sha256 IS 'Hash of the message; another hash under the same id is refused';
COMMENT ON COLUMN stream_messages.batch_id IS 'Batch that it belongs to: the business date on which it was taken in';
COMMENT ON COLUMN stream_messages.revision IS 'Revision of the batch';
COMMENT ON COLUMN stream_messages.line_number IS 'Its place in the batch, from 1; applications or quarantine has the row';
COMMENT ON COLUMN stream_messages.loan_id IS 'The loan, after an erasure its pseudonym; null if the message is in quarantine';
COMMENT ON COLUMN stream_messages.scoring_run_id IS 'Run with its score; null if the message is in quarantine';
COMMENT ON COLUMN stream_messages.sent_at IS 'When the broker got it; null if the broker does not say';
COMMENT ON COLUMN stream_messages.received_at IS 'When it was taken in';

-- The application may plan a run and may not change it. What a sealed day adds to its run is counted here.
CREATE FUNCTION seal_stream_run(run text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    planned scoring_runs;
    loans   integer;
BEGIN
    SELECT r.* INTO planned FROM scoring_runs AS r WHERE r.scoring_run_id = run FOR UPDATE;
    IF planned.state IS DISTINCT FROM 'planned' OR NOT EXISTS (
        SELECT FROM batches AS b WHERE b.batch_id = planned.batch_id
        AND b.revision = planned.revision AND b.kind = 'stream' AND b.sealed_at IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'run % is not the planned run of a sealed day', run
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT count(*) INTO loans FROM applications AS a
    WHERE a.batch_id = planned.batch_id AND a.revision = planned.revision;
    -- If the champions changed during the day, monitoring compares with those of most loans. Each
    -- score names its own models.
    UPDATE scoring_runs AS r
    SET applications = loans,
        propensity_version = coalesce(most.propensity_version, r.propensity_version),
        personas_version = coalesce(most.personas_version, r.personas_version)
    FROM (SELECT) AS one
    LEFT JOIN (
        SELECT s.propensity_version, s.personas_version
        FROM scores AS s
        WHERE s.batch_id = planned.batch_id AND s.scoring_run_id = run
        GROUP BY 1, 2 ORDER BY count(*) DESC, 1 DESC, 2 DESC LIMIT 1
    ) AS most ON true
    WHERE r.scoring_run_id = run;
    RETURN loans;
END $$;
COMMENT ON FUNCTION seal_stream_run IS 'Set the number of applications of the run of a sealed day, and the models of most of its scores; return the number';

ALTER TABLE task_metrics
    ADD COLUMN lag_messages bigint CHECK (lag_messages >= 0),
    ADD COLUMN oldest_seconds double precision CHECK (oldest_seconds >= 0);
COMMENT ON COLUMN task_metrics.lag_messages IS 'Messages of a stream that waited at the broker when the row was written; null for other tasks';
COMMENT ON COLUMN task_metrics.oldest_seconds IS 'Age of the oldest message that waited or was taken in meanwhile; null for other tasks';

COMMENT ON COLUMN alerts.kind IS 'The cause: bad_data, population, concept (see findings); quality: the batch is not as the contract expects; failure: a stage failed for good; delivery: a channel of notifications takes no message; landing: files and batches differ (see landing_findings); contract: a contract cannot be used; open_day: the open day of a stream drifts so far';
CREATE UNIQUE INDEX alerts_of_open_days ON alerts (subject)
    WHERE kind = 'open_day' AND state <> 'resolved';
