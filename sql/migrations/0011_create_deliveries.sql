CREATE TABLE deliveries (
    channel      text NOT NULL,
    alert_id     bigint NOT NULL REFERENCES alerts,
    number       integer NOT NULL CHECK (number > 0),
    event        text NOT NULL CHECK (event IN ('opened', 'escalated', 'resolved')),
    severity     text NOT NULL CHECK (severity IN ('warning', 'critical')),
    message      text NOT NULL,
    queued_at    timestamptz NOT NULL DEFAULT now(),
    tries        integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    error        text,
    delivered_at timestamptz,
    message_id   text,
    PRIMARY KEY (channel, alert_id, number),
    CHECK ((delivered_at IS NULL) = (message_id IS NULL))
);
CREATE INDEX deliveries_undelivered ON deliveries (channel) WHERE delivered_at IS NULL;
COMMENT ON TABLE deliveries IS 'What people are told of alerts, through which channel: the outbox of notifications';
COMMENT ON COLUMN deliveries.channel IS 'Name of the channel in the contract';
COMMENT ON COLUMN deliveries.alert_id IS 'The alert';
COMMENT ON COLUMN deliveries.number IS 'Counts up: what the channel was told of this alert first, second, ...';
COMMENT ON COLUMN deliveries.event IS 'opened; escalated: a warning became critical; resolved. Nothing is told of what is brought up to date';
COMMENT ON COLUMN deliveries.severity IS 'The alert''s severity then';
COMMENT ON COLUMN deliveries.message IS 'The alert''s message then: what is told';
COMMENT ON COLUMN deliveries.queued_at IS 'When it was found to be told';
COMMENT ON COLUMN deliveries.tries IS 'How often it was handed to the channel';
COMMENT ON COLUMN deliveries.error IS 'Why the last try failed; null where none did. No secret of a connection is in it';
COMMENT ON COLUMN deliveries.delivered_at IS 'When the channel took it; null: it is tried again with the next run';
COMMENT ON COLUMN deliveries.message_id IS 'The message that it was told in, several events may share one; a message that is sent twice has the same';

-- Alerts on the system itself belong to no revision and no scoring run.
ALTER TABLE alerts
    DROP CONSTRAINT alerts_check,
    ADD CONSTRAINT alerts_has_origin CHECK (
        scoring_run_id IS NOT NULL OR revision IS NOT NULL OR kind IN ('delivery', 'failure')
    );
CREATE UNIQUE INDEX alerts_once_a_channel ON alerts (subject)
    WHERE kind = 'delivery' AND state <> 'resolved';
CREATE UNIQUE INDEX alerts_once_a_failure ON alerts (subject, batch_id)
    WHERE kind = 'failure' AND state <> 'resolved';
COMMENT ON COLUMN alerts.scoring_run_id IS 'The run that showed it last; null where the batch itself did, before it was scored, and of delivery and failure';
COMMENT ON COLUMN alerts.revision IS 'The batch revision that showed it; null where a scoring run did, and of delivery and failure';
COMMENT ON COLUMN alerts.severity IS 'warning; critical: drift from the contract''s psi_drifted on, a refused batch, a night without scores, a channel that takes nothing';
COMMENT ON COLUMN alerts.kind IS 'The cause: bad_data, population, concept (see findings); quality: the batch is not as the contract expects; failure: a stage failed for good; delivery: a channel of notifications takes no message';
COMMENT ON COLUMN alerts.subject IS 'The columns it is about, the worst first; or batch; of failure the stage, of delivery the channel';
COMMENT ON COLUMN alerts.batch_id IS 'The first batch that showed it; the day, where a stage without batch failed';

ALTER TABLE task_metrics ADD COLUMN error text;
COMMENT ON COLUMN task_metrics.error IS 'What the last try failed with, in one line; of an error that no user can cause its name, the log has it whole';
