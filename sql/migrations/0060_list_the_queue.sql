-- The work list of the desk: a narrow copy of what it shows, sorts and filters, written after a publication,
-- so that the queue of a night of a million loans is read in a third of a second (docs/adr/0057).
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE desk_queue (
    batch_id             text COLLATE "C" NOT NULL,
    scoring_run_id       text NOT NULL,
    loan_id              loan_key NOT NULL,
    decision             text NOT NULL CHECK (decision IN ('review', 'refer')),
    default_probability  double precision,
    grade                text,
    persona              text,
    persona_default_rate double precision,
    exclusion_reason     text,
    reasons              text[] NOT NULL,
    amount               double precision,
    numbers              double precision[] NOT NULL,
    PRIMARY KEY (scoring_run_id, loan_id)
);
COMMENT ON TABLE desk_queue IS 'Applications of a current scoring run that are left to a person, with what the page Desk shows. A copy: it can be written again at any time';
COMMENT ON COLUMN desk_queue.batch_id IS 'The batch';
COMMENT ON COLUMN desk_queue.scoring_run_id IS 'The scoring run';
COMMENT ON COLUMN desk_queue.loan_id IS 'The loan';
COMMENT ON COLUMN desk_queue.decision IS 'Decision of the score: review or refer';
COMMENT ON COLUMN desk_queue.default_probability IS 'Of the score; null where it is refer';
COMMENT ON COLUMN desk_queue.grade IS 'Of the score; null without a scale or a probability';
COMMENT ON COLUMN desk_queue.persona IS 'Of the score; null where it is refer';
COMMENT ON COLUMN desk_queue.persona_default_rate IS 'Of the score';
COMMENT ON COLUMN desk_queue.exclusion_reason IS 'Why it is refer';
COMMENT ON COLUMN desk_queue.reasons IS 'Reasons of the score, strongest first';
COMMENT ON COLUMN desk_queue.amount IS 'Amount of the loan (contract, business.amount); null without one';
COMMENT ON COLUMN desk_queue.numbers IS 'Values of the columns that desk_queues.columns names, in this order';

CREATE TABLE desk_queues (
    scoring_run_id text PRIMARY KEY REFERENCES scoring_runs,
    batch_id       text COLLATE "C" NOT NULL,
    columns        text[] NOT NULL,
    amount_column  text,
    applications   integer NOT NULL CHECK (applications >= 0),
    counts         jsonb NOT NULL,
    filled_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE desk_queues IS 'Scoring runs whose applications are in desk_queue, and which of their columns';
COMMENT ON COLUMN desk_queues.scoring_run_id IS 'The scoring run';
COMMENT ON COLUMN desk_queues.batch_id IS 'Its batch';
COMMENT ON COLUMN desk_queues.columns IS 'Columns of applications whose values are in desk_queue.numbers';
COMMENT ON COLUMN desk_queues.amount_column IS 'Column of applications whose value is desk_queue.amount';
COMMENT ON COLUMN desk_queues.applications IS 'Rows that were written';
COMMENT ON COLUMN desk_queues.counts IS 'How many of them by decision, persona and first reason: an object of lists of value and applications, the most first';
COMMENT ON COLUMN desk_queues.filled_at IS 'When';

-- The order in which the desk is worked if nobody chooses another.
CREATE INDEX desk_queue_by_risk ON desk_queue
    (scoring_run_id, coalesce((-1)::double precision * default_probability, 1e300::double precision), loan_id);

-- Only the owner may gather statistics. Without those of rows just written, the planner sorts the whole queue.
CREATE FUNCTION analyze_queue() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    ANALYZE desk_queue;
END $$;
COMMENT ON FUNCTION analyze_queue IS 'Gather the statistics of desk_queue, after its rows were written';
