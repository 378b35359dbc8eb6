-- The key's type comes from the contract: the domain loan_key is created before this file runs.

CREATE TABLE batches (
    batch_id     text COLLATE "C" NOT NULL
                 CHECK (batch_id = 'history' OR batch_id ~ '^\d{4}-\d{2}-\d{2}$'),
    revision     integer NOT NULL CHECK (revision > 0),
    source       text NOT NULL,
    sha256       text NOT NULL,
    state        text NOT NULL CHECK (state IN ('landed', 'published', 'refused')),
    is_current   boolean NOT NULL DEFAULT false,
    received     integer NOT NULL CHECK (received >= 0),
    accepted     integer NOT NULL CHECK (accepted >= 0),
    quarantined  integer NOT NULL CHECK (quarantined >= 0),
    ignored_columns text[] NOT NULL DEFAULT '{}',
    landed_at    timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    PRIMARY KEY (batch_id, revision),
    CHECK (received = accepted + quarantined),
    CHECK (NOT is_current OR state = 'published')
);
CREATE UNIQUE INDEX batches_one_current ON batches (batch_id) WHERE is_current;
COMMENT ON TABLE batches IS 'A landed batch of applications, one row a revision; the ledger of what came in';
COMMENT ON COLUMN batches.batch_id IS 'Business date YYYY-MM-DD, or history for the labelled past';
COMMENT ON COLUMN batches.revision IS '1 for the first file of the batch, one more for each other file; old ones are kept';
COMMENT ON COLUMN batches.source IS 'Where the file came from; says synthetic where its rows were generated';
COMMENT ON COLUMN batches.sha256 IS 'Hash of the file as delivered; the same bytes again change nothing';
COMMENT ON COLUMN batches.state IS 'landed: rows are in but not visible; published: visible; refused: a batch check failed, no row kept';
COMMENT ON COLUMN batches.is_current IS 'Whether this revision is the one that counts';
COMMENT ON COLUMN batches.received IS 'Records in the file; always accepted + quarantined';
COMMENT ON COLUMN batches.accepted IS 'Rows that became applications';
COMMENT ON COLUMN batches.quarantined IS 'Rows that broke a rule and stand in quarantine';
COMMENT ON COLUMN batches.ignored_columns IS 'Columns of the file that the contract does not know; they were kept out';
COMMENT ON COLUMN batches.landed_at IS 'When the rows were copied in';
COMMENT ON COLUMN batches.published_at IS 'When the revision became visible';

-- Partitioned by month of business date: pruned by batch_id, dropped by month (docs/adr/0003).
-- The contract's columns are added by the migration run itself.
CREATE TABLE applications (
    batch_id    text COLLATE "C" NOT NULL,
    revision    integer NOT NULL,
    line_number bigint NOT NULL,
    loan_id     loan_key NOT NULL,
    PRIMARY KEY (batch_id, revision, loan_id)
) PARTITION BY RANGE (batch_id);
CREATE INDEX applications_by_loan ON applications (loan_id);
COMMENT ON TABLE applications IS 'An accepted application, typed; use the view current_applications for the revision that counts';
COMMENT ON COLUMN applications.batch_id IS 'The batch it came with';
COMMENT ON COLUMN applications.revision IS 'The revision of that batch';
COMMENT ON COLUMN applications.line_number IS 'Line of the source file on which the record begins; the header is line 1';
COMMENT ON COLUMN applications.loan_id IS 'The loan''s key in the lender''s systems';

CREATE TABLE quarantine (
    batch_id    text COLLATE "C" NOT NULL,
    revision    integer NOT NULL,
    line_number bigint NOT NULL,
    raw_text    text NOT NULL,
    rules       text[] NOT NULL CHECK (cardinality(rules) > 0),
    PRIMARY KEY (batch_id, revision, line_number)
);
COMMENT ON TABLE quarantine IS 'A refused row: nothing that came in is lost';
COMMENT ON COLUMN quarantine.batch_id IS 'The batch, or outcomes-NAME for a file of outcomes';
COMMENT ON COLUMN quarantine.revision IS 'The revision of that batch or file of outcomes';
COMMENT ON COLUMN quarantine.line_number IS 'Line of the source file on which the record begins; the header is line 1';
COMMENT ON COLUMN quarantine.raw_text IS 'The record as it stands in the file';
COMMENT ON COLUMN quarantine.rules IS 'Every rule that it broke, as rule or rule:column';

CREATE TABLE outcome_drops (
    drop_id     text COLLATE "C" NOT NULL CHECK (drop_id LIKE 'outcomes-%'),
    revision    integer NOT NULL CHECK (revision > 0),
    source      text NOT NULL,
    sha256      text NOT NULL,
    received    integer NOT NULL,
    accepted    integer NOT NULL,
    quarantined integer NOT NULL,
    landed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (drop_id, revision),
    CHECK (received = accepted + quarantined)
);
COMMENT ON TABLE outcome_drops IS 'A landed file of outcomes, one row a revision';
COMMENT ON COLUMN outcome_drops.drop_id IS 'outcomes- and the file''s name without its endings';
COMMENT ON COLUMN outcome_drops.revision IS '1 for the first file of that name, one more for each other file';
COMMENT ON COLUMN outcome_drops.source IS 'Where the file came from';
COMMENT ON COLUMN outcome_drops.sha256 IS 'Hash of the file as delivered; the same bytes again change nothing';
COMMENT ON COLUMN outcome_drops.received IS 'Records in the file; always accepted + quarantined';
COMMENT ON COLUMN outcome_drops.accepted IS 'Outcomes that are new or say what is known already';
COMMENT ON COLUMN outcome_drops.quarantined IS 'Rows that broke a rule and stand in quarantine';
COMMENT ON COLUMN outcome_drops.landed_at IS 'When the file was taken in';

CREATE TABLE outcomes (
    loan_id     loan_key PRIMARY KEY,
    is_default  boolean NOT NULL,
    observed_on date,
    drop_id     text COLLATE "C" NOT NULL,
    revision    integer NOT NULL,
    FOREIGN KEY (drop_id, revision) REFERENCES outcome_drops
);
COMMENT ON TABLE outcomes IS 'What became of a loan';
COMMENT ON COLUMN outcomes.loan_id IS 'The loan';
COMMENT ON COLUMN outcomes.is_default IS 'Whether it defaulted; false is paid';
COMMENT ON COLUMN outcomes.observed_on IS 'Date on which this was known; null for labels that came with the history';
COMMENT ON COLUMN outcomes.drop_id IS 'The file of outcomes that said so first';
COMMENT ON COLUMN outcomes.revision IS 'The revision of that file';

CREATE TABLE models (
    model_version     text PRIMARY KEY,
    kind              text NOT NULL CHECK (kind IN ('propensity', 'personas')),
    number            integer NOT NULL CHECK (number > 0),
    algorithm         text NOT NULL,
    parameters        jsonb NOT NULL,
    features          text[] NOT NULL,
    metrics           jsonb NOT NULL,
    training_data     jsonb NOT NULL,
    fingerprint       text NOT NULL,
    code_version      text NOT NULL,
    artifact          text NOT NULL,
    artifact_sha256   text NOT NULL,
    baseline          jsonb,
    baseline_artifact text,
    baseline_sha256   text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (kind, number),
    UNIQUE (kind, fingerprint)
);
COMMENT ON TABLE models IS 'A fitted model version; never changed after it is written';
COMMENT ON COLUMN models.model_version IS 'KIND-NUMBER';
COMMENT ON COLUMN models.kind IS 'propensity: probability of default; personas: clusters of applicants';
COMMENT ON COLUMN models.number IS 'Counts up by kind';
COMMENT ON COLUMN models.algorithm IS 'Class of the estimator';
COMMENT ON COLUMN models.parameters IS 'Its parameters, seed included';
COMMENT ON COLUMN models.features IS 'Columns of applications that it reads, in order';
COMMENT ON COLUMN models.metrics IS 'What it was measured by, on the untouched hold-out where it has one';
COMMENT ON COLUMN models.training_data IS 'Batches and revisions, row counts and shares it was fitted on';
COMMENT ON COLUMN models.fingerprint IS 'Hash over the training rows, the contract and the code version: equal means the same model';
COMMENT ON COLUMN models.code_version IS 'Version of loan-scoring that fitted it';
COMMENT ON COLUMN models.artifact IS 'The skops file, below the artifacts folder of the portfolio';
COMMENT ON COLUMN models.artifact_sha256 IS 'Its hash; a file with another hash is not loaded';
COMMENT ON COLUMN models.baseline IS 'Frozen bins, levels and counts that every drift test compares with';
COMMENT ON COLUMN models.baseline_artifact IS 'Parquet file with the frozen sample behind the baseline';
COMMENT ON COLUMN models.baseline_sha256 IS 'Its hash';
COMMENT ON COLUMN models.created_at IS 'When it was written';

CREATE TABLE promotions (
    promotion_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('propensity', 'personas')),
    model_version text NOT NULL REFERENCES models,
    verdict       text NOT NULL CHECK (verdict IN ('promoted', 'refused')),
    replaces      text REFERENCES models,
    evidence      jsonb NOT NULL,
    decided_by    text NOT NULL,
    decided_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE promotions IS 'Append-only: which version became champion or was refused, by whom, on what evidence';
COMMENT ON COLUMN promotions.promotion_id IS 'Counts up; the last promoted row of a kind is the champion';
COMMENT ON COLUMN promotions.kind IS 'Kind of model';
COMMENT ON COLUMN promotions.model_version IS 'The version that was judged';
COMMENT ON COLUMN promotions.verdict IS 'promoted or refused';
COMMENT ON COLUMN promotions.replaces IS 'The champion at that moment, if any';
COMMENT ON COLUMN promotions.evidence IS 'Each gate with its figures and verdict';
COMMENT ON COLUMN promotions.decided_by IS 'A person, or policy:auto';
COMMENT ON COLUMN promotions.decided_at IS 'When';

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER promotions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON promotions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE scoring_runs (
    scoring_run_id     text PRIMARY KEY,
    batch_id           text COLLATE "C" NOT NULL,
    revision           integer NOT NULL,
    propensity_version text NOT NULL REFERENCES models,
    personas_version   text NOT NULL REFERENCES models,
    state              text NOT NULL CHECK (state IN ('planned', 'published')),
    is_current         boolean NOT NULL DEFAULT false,
    applications       integer NOT NULL CHECK (applications >= 0),
    scored             integer,
    referred           integer,
    planned_at         timestamptz NOT NULL DEFAULT now(),
    published_at       timestamptz,
    FOREIGN KEY (batch_id, revision) REFERENCES batches,
    CHECK (state = 'planned' OR applications = scored + referred),
    CHECK (NOT is_current OR state = 'published')
);
CREATE UNIQUE INDEX scoring_runs_one_current ON scoring_runs (batch_id) WHERE is_current;
COMMENT ON TABLE scoring_runs IS 'One batch revision scored with one pair of models';
COMMENT ON COLUMN scoring_runs.scoring_run_id IS 'Derived from batch, revision and model pair: the same work has the same id';
COMMENT ON COLUMN scoring_runs.batch_id IS 'The batch';
COMMENT ON COLUMN scoring_runs.revision IS 'Its revision';
COMMENT ON COLUMN scoring_runs.propensity_version IS 'Model of the default probability';
COMMENT ON COLUMN scoring_runs.personas_version IS 'Model of the personas';
COMMENT ON COLUMN scoring_runs.state IS 'planned: being scored, invisible; published: complete';
COMMENT ON COLUMN scoring_runs.is_current IS 'Whether its scores are the ones of the batch that count';
COMMENT ON COLUMN scoring_runs.applications IS 'Accepted applications of the batch revision';
COMMENT ON COLUMN scoring_runs.scored IS 'How many got a probability';
COMMENT ON COLUMN scoring_runs.referred IS 'How many were excluded and referred to a person';
COMMENT ON COLUMN scoring_runs.planned_at IS 'When the run was planned';
COMMENT ON COLUMN scoring_runs.published_at IS 'When its scores became visible, all at once';

CREATE TABLE mini_batches (
    scoring_run_id text NOT NULL REFERENCES scoring_runs,
    mini_batch     integer NOT NULL CHECK (mini_batch >= 0),
    first_loan_id  loan_key NOT NULL,
    last_loan_id   loan_key NOT NULL,
    applications   integer NOT NULL,
    state          text NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'scored')),
    scored         integer,
    referred       integer,
    seconds        double precision,
    scored_at      timestamptz,
    PRIMARY KEY (scoring_run_id, mini_batch)
);
COMMENT ON TABLE mini_batches IS 'A contiguous slice of a batch that one task scores';
COMMENT ON COLUMN mini_batches.scoring_run_id IS 'The run';
COMMENT ON COLUMN mini_batches.mini_batch IS 'Counts from 0 in the order of loan_id';
COMMENT ON COLUMN mini_batches.first_loan_id IS 'First loan of the slice';
COMMENT ON COLUMN mini_batches.last_loan_id IS 'Last loan of the slice';
COMMENT ON COLUMN mini_batches.applications IS 'Applications in the slice';
COMMENT ON COLUMN mini_batches.state IS 'planned, or scored: its rows are in';
COMMENT ON COLUMN mini_batches.scored IS 'How many got a probability';
COMMENT ON COLUMN mini_batches.referred IS 'How many were referred';
COMMENT ON COLUMN mini_batches.seconds IS 'Wall time of the try that wrote the rows';
COMMENT ON COLUMN mini_batches.scored_at IS 'When its rows were written';

CREATE TABLE scores (
    scoring_run_id       text NOT NULL,
    batch_id             text COLLATE "C" NOT NULL,
    mini_batch           integer NOT NULL,
    loan_id              loan_key NOT NULL,
    default_probability  double precision CHECK (default_probability BETWEEN 0 AND 1),
    exclusion_reason     text,
    decision             text NOT NULL CHECK (decision IN ('approve', 'review', 'decline', 'refer')),
    persona              text,
    persona_default_rate double precision CHECK (persona_default_rate BETWEEN 0 AND 1),
    propensity_version   text NOT NULL,
    personas_version     text NOT NULL,
    scored_at            timestamptz NOT NULL,
    PRIMARY KEY (batch_id, scoring_run_id, loan_id),
    CHECK ((default_probability IS NULL) = (exclusion_reason IS NOT NULL)),
    CHECK ((default_probability IS NULL) = (decision = 'refer'))
) PARTITION BY RANGE (batch_id);
CREATE INDEX scores_by_loan ON scores (loan_id);
COMMENT ON TABLE scores IS 'A score; use the view current_scores for the run that counts';
COMMENT ON COLUMN scores.scoring_run_id IS 'The run that wrote it';
COMMENT ON COLUMN scores.batch_id IS 'The batch of the application';
COMMENT ON COLUMN scores.mini_batch IS 'The slice that wrote it';
COMMENT ON COLUMN scores.loan_id IS 'The loan';
COMMENT ON COLUMN scores.default_probability IS 'Probability of default; null exactly where exclusion_reason is not';
COMMENT ON COLUMN scores.exclusion_reason IS 'Why no model judges this application';
COMMENT ON COLUMN scores.decision IS 'approve, review, decline by the contract''s thresholds; refer where excluded';
COMMENT ON COLUMN scores.persona IS 'Name of the applicant''s cluster; null where excluded';
COMMENT ON COLUMN scores.persona_default_rate IS 'Mean default rate of that cluster at training';
COMMENT ON COLUMN scores.propensity_version IS 'Model that gave the probability';
COMMENT ON COLUMN scores.personas_version IS 'Model that gave the persona';
COMMENT ON COLUMN scores.scored_at IS 'When the row was written';

CREATE TABLE drift (
    scoring_run_id text NOT NULL REFERENCES scoring_runs,
    kind           text NOT NULL CHECK (kind IN ('data', 'prediction', 'target', 'model', 'joint')),
    feature        text NOT NULL,
    test           text NOT NULL,
    statistic      double precision NOT NULL,
    p_value        double precision,
    p_adjusted     double precision,
    effect         double precision NOT NULL,
    threshold      double precision NOT NULL,
    level          text NOT NULL CHECK (level IN ('stable', 'attention', 'drifted')),
    PRIMARY KEY (scoring_run_id, kind, feature, test)
);
COMMENT ON TABLE drift IS 'One test on one feature of one batch against the baseline of the model that scored it';
COMMENT ON COLUMN drift.scoring_run_id IS 'The run whose batch was compared';
COMMENT ON COLUMN drift.kind IS 'data: inputs; prediction: scores, decisions, personas';
COMMENT ON COLUMN drift.feature IS 'Column that was compared';
COMMENT ON COLUMN drift.test IS 'ks, chi_square, psi, wasserstein, null_share';
COMMENT ON COLUMN drift.statistic IS 'The test''s statistic';
COMMENT ON COLUMN drift.p_value IS 'Its p-value, where the test has one';
COMMENT ON COLUMN drift.p_adjusted IS 'Benjamini-Hochberg over all tests of the batch';
COMMENT ON COLUMN drift.effect IS 'Size of the difference, in the test''s own unit';
COMMENT ON COLUMN drift.threshold IS 'Limit that the effect was held against';
COMMENT ON COLUMN drift.level IS 'stable, attention or drifted';

CREATE TABLE alerts (
    alert_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scoring_run_id text NOT NULL REFERENCES scoring_runs,
    batch_id       text COLLATE "C" NOT NULL,
    severity       text NOT NULL CHECK (severity IN ('warning', 'critical')),
    kind           text NOT NULL,
    subject        text NOT NULL,
    message        text NOT NULL,
    evidence       jsonb NOT NULL,
    state          text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'acknowledged', 'resolved')),
    changed_by     text NOT NULL DEFAULT 'metrics',
    raised_at      timestamptz NOT NULL DEFAULT now(),
    changed_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (scoring_run_id, kind, subject)
);
COMMENT ON TABLE alerts IS 'Something a person should look at';
COMMENT ON COLUMN alerts.alert_id IS 'Counts up';
COMMENT ON COLUMN alerts.scoring_run_id IS 'The run that showed it';
COMMENT ON COLUMN alerts.batch_id IS 'Its batch';
COMMENT ON COLUMN alerts.severity IS 'warning, or critical from the contract''s psi_drifted on';
COMMENT ON COLUMN alerts.kind IS 'Kind of drift';
COMMENT ON COLUMN alerts.subject IS 'The column it is about';
COMMENT ON COLUMN alerts.message IS 'What happened, in plain words';
COMMENT ON COLUMN alerts.evidence IS 'The figures behind it';
COMMENT ON COLUMN alerts.state IS 'open, acknowledged or resolved';
COMMENT ON COLUMN alerts.changed_by IS 'Who or what set the state';
COMMENT ON COLUMN alerts.raised_at IS 'When it was raised';
COMMENT ON COLUMN alerts.changed_at IS 'When its state last changed';

CREATE TABLE retrain_requests (
    request_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id     text COLLATE "C" NOT NULL,
    verdict      text NOT NULL CHECK (verdict IN ('asked', 'withheld')),
    reason       text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (batch_id, reason)
);
COMMENT ON TABLE retrain_requests IS 'Why retraining was asked for, or withheld';
COMMENT ON COLUMN retrain_requests.request_id IS 'Counts up';
COMMENT ON COLUMN retrain_requests.batch_id IS 'The batch that gave cause';
COMMENT ON COLUMN retrain_requests.verdict IS 'asked or withheld';
COMMENT ON COLUMN retrain_requests.reason IS 'Why, in plain words';
COMMENT ON COLUMN retrain_requests.requested_at IS 'When';

CREATE TABLE task_metrics (
    run         text NOT NULL,
    task        text NOT NULL,
    map_index   integer NOT NULL DEFAULT -1,
    batch_id    text COLLATE "C",
    rows        bigint NOT NULL,
    seconds     double precision NOT NULL,
    errors      integer NOT NULL DEFAULT 0,
    peak_memory_bytes bigint NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    PRIMARY KEY (run, task, map_index)
);
COMMENT ON TABLE task_metrics IS 'What each task did and cost; a retried task keeps its last try and counts its errors';
COMMENT ON COLUMN task_metrics.run IS 'Id of the Airflow run, or cli-TIME of a command';
COMMENT ON COLUMN task_metrics.task IS 'STAGE.TASK';
COMMENT ON COLUMN task_metrics.map_index IS 'Which of the mapped tasks; -1 where there is one';
COMMENT ON COLUMN task_metrics.batch_id IS 'The batch it worked on, if any';
COMMENT ON COLUMN task_metrics.rows IS 'Rows it handled';
COMMENT ON COLUMN task_metrics.seconds IS 'Wall time of the last try';
COMMENT ON COLUMN task_metrics.errors IS 'Tries that failed';
COMMENT ON COLUMN task_metrics.peak_memory_bytes IS 'Peak resident memory of the process';
COMMENT ON COLUMN task_metrics.started_at IS 'Start of the last try';
COMMENT ON COLUMN task_metrics.finished_at IS 'End of the last try';

CREATE VIEW current_scores AS
    SELECT s.*
    FROM scores AS s
    JOIN scoring_runs AS r ON r.scoring_run_id = s.scoring_run_id AND r.batch_id = s.batch_id
    WHERE r.is_current;
COMMENT ON VIEW current_scores IS 'One row a loan: the scores of each batch''s current scoring run';

CREATE VIEW champions AS
    SELECT DISTINCT ON (p.kind)
        p.kind, p.model_version, m.algorithm, m.metrics, m.training_data, p.evidence,
        p.decided_by AS promoted_by, p.decided_at AS promoted_at
    FROM promotions AS p
    JOIN models AS m USING (model_version)
    WHERE p.verdict = 'promoted'
    ORDER BY p.kind, p.promotion_id DESC;
COMMENT ON VIEW champions IS 'The model version in use of each kind, with what it was promoted on';

CREATE VIEW open_alerts AS
    SELECT alert_id, batch_id, severity, kind, subject, message, state, raised_at
    FROM alerts
    WHERE state <> 'resolved';
COMMENT ON VIEW open_alerts IS 'What still wants a person''s eye';

CREATE VIEW batch_health AS
    SELECT
        b.batch_id, b.revision, b.source, b.received, b.accepted, b.quarantined,
        r.scoring_run_id, r.scored, r.referred, r.propensity_version,
        (SELECT count(*) FROM drift AS d
          WHERE d.scoring_run_id = r.scoring_run_id AND d.level <> 'stable') AS drift_findings,
        (SELECT count(*) FROM alerts AS a
          WHERE a.scoring_run_id = r.scoring_run_id AND a.state <> 'resolved') AS open_alerts,
        b.published_at AS landed_at, r.published_at AS scored_at
    FROM batches AS b
    LEFT JOIN scoring_runs AS r ON r.batch_id = b.batch_id AND r.is_current
    WHERE b.is_current;
COMMENT ON VIEW batch_health IS 'One row a batch: what came in, what was scored, what drifted';
