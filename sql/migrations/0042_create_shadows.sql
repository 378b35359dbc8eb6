-- Challengers in shadow and as canaries (docs/adr/0046). A run of kind shadow is never published, and its
-- scores are in a table of their own, so that no reader of scores can see them.
ALTER TABLE scoring_runs
    ADD COLUMN run_kind text NOT NULL DEFAULT 'night' CHECK (run_kind IN ('night', 'shadow')),
    ADD COLUMN beside text REFERENCES scoring_runs,
    ADD COLUMN canary jsonb,
    ADD CONSTRAINT scoring_runs_shadow_unseen
        CHECK (run_kind = 'night' OR (NOT is_current AND state = 'planned')),
    ADD CONSTRAINT scoring_runs_shadow_beside CHECK ((run_kind = 'shadow') = (beside IS NOT NULL)),
    ADD CONSTRAINT scoring_runs_canary_of_night CHECK (canary IS NULL OR run_kind = 'night');
COMMENT ON COLUMN scoring_runs.run_kind IS 'night: scores that are published; shadow: a challenger''s, in shadow_scores and never published';
COMMENT ON COLUMN scoring_runs.beside IS 'Of a shadow: the run of the night with which it is compared';
COMMENT ON COLUMN scoring_runs.canary IS 'propensity_version and personas_version of the challenger that decides a share of the loans, this share, its salt and its limits; null without a canary';
COMMENT ON COLUMN scoring_runs.propensity_version IS 'Model of the default probability; of the loans that are no canary''s';

CREATE TABLE shadow_scores (LIKE scores INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS)
    PARTITION BY RANGE (batch_id);
ALTER TABLE shadow_scores ADD PRIMARY KEY (batch_id, scoring_run_id, loan_id);
COMMENT ON TABLE shadow_scores IS 'Scores that decide nothing: those of a challenger in shadow, and in a run with a canary those of the champion on the canary''s loans';

CREATE TABLE shadows (
    shadow_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    propensity_version text NOT NULL REFERENCES models,
    personas_version   text NOT NULL REFERENCES models,
    champion           text NOT NULL REFERENCES models,
    stage              text NOT NULL DEFAULT 'shadow' CHECK (stage IN ('shadow', 'canary')),
    started_by         text NOT NULL CHECK (started_by <> ''),
    started_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    asked_batch_id     text COLLATE "C",
    ended_as           text CHECK (ended_as IN ('promoted', 'refused', 'rejected', 'timed_out',
                                                'replaced', 'withheld', 'stopped')),
    reason             text,
    ended_at           timestamptz,
    CHECK ((ended_as IS NULL) = (ended_at IS NULL))
);
CREATE UNIQUE INDEX shadows_one_open ON shadows ((true)) WHERE ended_at IS NULL;
COMMENT ON TABLE shadows IS 'Challengers that scored beside the champion; at most one is open';
COMMENT ON COLUMN shadows.shadow_id IS 'Counts up';
COMMENT ON COLUMN shadows.propensity_version IS 'The challenger';
COMMENT ON COLUMN shadows.personas_version IS 'The personas that were fitted with it';
COMMENT ON COLUMN shadows.champion IS 'Champion with which it is compared; after a change of the champion, the new one';
COMMENT ON COLUMN shadows.stage IS 'shadow: it decides nothing; canary: it decides a share of the loans';
COMMENT ON COLUMN shadows.started_by IS 'policy:auto, or the person who put it into shadow';
COMMENT ON COLUMN shadows.started_at IS 'When';
COMMENT ON COLUMN shadows.asked_batch_id IS 'Night after which a person was asked about this stage; null if nobody was';
COMMENT ON COLUMN shadows.ended_as IS 'promoted; refused: by a gate; rejected: by a person; timed_out: nobody answered; replaced: by a newer challenger; withheld: a person had rejected or rolled it back; stopped: as a canary it left its limits; null while it is open';
COMMENT ON COLUMN shadows.reason IS 'Why it ended, or why its stage or champion changed last';
COMMENT ON COLUMN shadows.ended_at IS 'When it ended';

CREATE TABLE shadow_nights (
    propensity_version    text NOT NULL REFERENCES models,
    batch_id              text COLLATE "C" NOT NULL,
    champion              text NOT NULL REFERENCES models,
    scoring_run_id        text NOT NULL REFERENCES scoring_runs,
    shadow_run_id         text NOT NULL REFERENCES scoring_runs,
    compared_at           timestamptz NOT NULL DEFAULT now(),
    loans                 integer NOT NULL CHECK (loans >= 0),
    agreed                integer NOT NULL CHECK (agreed BETWEEN 0 AND loans),
    comes_in              integer NOT NULL,
    goes_out              integer NOT NULL,
    decisions             jsonb NOT NULL,
    approval_rate         double precision,
    champion_approval_rate double precision,
    mean_probability      double precision,
    champion_mean_probability double precision,
    psi                   double precision,
    outcomes              integer NOT NULL DEFAULT 0,
    defaults              integer NOT NULL DEFAULT 0,
    auc                   double precision,
    champion_auc          double precision,
    auc_lower             double precision,
    auc_upper             double precision,
    log_loss_difference   double precision,
    log_loss_lower        double precision,
    log_loss_upper        double precision,
    outcomes_change_id    bigint,
    PRIMARY KEY (propensity_version, batch_id)
);
COMMENT ON TABLE shadow_nights IS 'A night scored by a challenger in shadow and by the champion, compared on the same loans';
COMMENT ON COLUMN shadow_nights.propensity_version IS 'The challenger';
COMMENT ON COLUMN shadow_nights.batch_id IS 'The night';
COMMENT ON COLUMN shadow_nights.champion IS 'Model that decided the night';
COMMENT ON COLUMN shadow_nights.scoring_run_id IS 'Run of the champion';
COMMENT ON COLUMN shadow_nights.shadow_run_id IS 'Run of the challenger';
COMMENT ON COLUMN shadow_nights.compared_at IS 'When it was compared last';
COMMENT ON COLUMN shadow_nights.loans IS 'Loans of the night, those that are referred included';
COMMENT ON COLUMN shadow_nights.agreed IS 'Loans with the same decision of both';
COMMENT ON COLUMN shadow_nights.comes_in IS 'Loans that only the challenger approves';
COMMENT ON COLUMN shadow_nights.goes_out IS 'Loans that only the champion approves';
COMMENT ON COLUMN shadow_nights.decisions IS 'Each pair of decisions that occurs: champion, challenger, loans';
COMMENT ON COLUMN shadow_nights.approval_rate IS 'Of the challenger, among loans with a probability of both; null if there are none';
COMMENT ON COLUMN shadow_nights.champion_approval_rate IS 'Of the champion on the same loans';
COMMENT ON COLUMN shadow_nights.mean_probability IS 'Mean probability of default by the challenger, on the same loans';
COMMENT ON COLUMN shadow_nights.champion_mean_probability IS 'Mean probability of default by the champion';
COMMENT ON COLUMN shadow_nights.psi IS 'PSI of the challenger''s score against the champion''s, in tenths of the champion''s';
COMMENT ON COLUMN shadow_nights.outcomes IS 'Loans whose outcome is final and known; 0 until enough of them are known (performance.mature_share)';
COMMENT ON COLUMN shadow_nights.defaults IS 'Of these, the defaults';
COMMENT ON COLUMN shadow_nights.auc IS 'Realised AUC of the challenger; null without enough outcomes of both kinds';
COMMENT ON COLUMN shadow_nights.champion_auc IS 'Realised AUC of the champion on the same loans';
COMMENT ON COLUMN shadow_nights.auc_lower IS 'Lower limit of the difference in AUC, challenger minus champion, by the paired bootstrap at promotion.confidence';
COMMENT ON COLUMN shadow_nights.auc_upper IS 'Its upper limit';
COMMENT ON COLUMN shadow_nights.log_loss_difference IS 'Realised log loss, challenger minus champion';
COMMENT ON COLUMN shadow_nights.log_loss_lower IS 'Lower limit of the paired interval';
COMMENT ON COLUMN shadow_nights.log_loss_upper IS 'Its upper limit';
COMMENT ON COLUMN shadow_nights.outcomes_change_id IS 'Last change of outcomes that was read; null before the first';

CREATE TABLE canary_nights (
    scoring_run_id     text PRIMARY KEY REFERENCES scoring_runs,
    batch_id           text COLLATE "C" NOT NULL,
    propensity_version text NOT NULL REFERENCES models,
    champion           text NOT NULL REFERENCES models,
    share              double precision NOT NULL CHECK (share > 0 AND share < 1),
    loans              integer NOT NULL CHECK (loans >= 0),
    approval_rate      double precision,
    champion_approval_rate double precision,
    mean_probability   double precision,
    champion_mean_probability double precision,
    stopped_by         text,
    judged_at          timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE canary_nights IS 'Append-only: the canary''s loans of a night by both models, judged before the night was published';
COMMENT ON COLUMN canary_nights.scoring_run_id IS 'Run with the canary; not published if the canary was stopped';
COMMENT ON COLUMN canary_nights.batch_id IS 'The night';
COMMENT ON COLUMN canary_nights.propensity_version IS 'The challenger';
COMMENT ON COLUMN canary_nights.champion IS 'The champion';
COMMENT ON COLUMN canary_nights.share IS 'Declared share of the loans';
COMMENT ON COLUMN canary_nights.loans IS 'Loans of the canary, those that are referred included';
COMMENT ON COLUMN canary_nights.approval_rate IS 'Of the challenger, among the canary''s loans with a probability of both; null if there are none';
COMMENT ON COLUMN canary_nights.champion_approval_rate IS 'Of the champion on the same loans';
COMMENT ON COLUMN canary_nights.mean_probability IS 'Mean probability of default by the challenger, on the same loans';
COMMENT ON COLUMN canary_nights.champion_mean_probability IS 'Mean probability of default by the champion';
COMMENT ON COLUMN canary_nights.stopped_by IS 'Which limit was left, so that the champion decided all loans; null if none was';
COMMENT ON COLUMN canary_nights.judged_at IS 'When';

CREATE VIEW shadow_comparison AS
    SELECT n.propensity_version, n.champion, n.batch_id, n.loans, n.agreed,
           n.agreed::double precision / nullif(n.loans, 0) AS agreement,
           n.comes_in, n.goes_out,
           n.approval_rate - n.champion_approval_rate AS approval_rate_difference,
           n.mean_probability - n.champion_mean_probability AS mean_probability_difference,
           n.psi, n.outcomes, n.defaults, n.auc, n.champion_auc,
           n.auc - n.champion_auc AS auc_difference, n.auc_lower, n.auc_upper,
           n.log_loss_difference, n.log_loss_lower, n.log_loss_upper,
           r.is_current IS TRUE AS is_current
    FROM shadow_nights AS n
    JOIN scoring_runs AS r USING (scoring_run_id);
COMMENT ON VIEW shadow_comparison IS 'One row a night and challenger: how a challenger in shadow compares with the champion';
COMMENT ON COLUMN shadow_comparison.agreement IS 'Share of the loans with the same decision';
COMMENT ON COLUMN shadow_comparison.approval_rate_difference IS 'Challenger minus champion';
COMMENT ON COLUMN shadow_comparison.mean_probability_difference IS 'Challenger minus champion';
COMMENT ON COLUMN shadow_comparison.auc_difference IS 'Challenger minus champion';
COMMENT ON COLUMN shadow_comparison.is_current IS 'Whether readers see the champion''s run with which it was compared';

CREATE VIEW champion_scores AS
    SELECT s.scoring_run_id, s.batch_id, s.loan_id, s.default_probability, s.decision, s.persona,
           s.reason_1, s.grade, s.decision AS decision_of_run
    FROM scores AS s
    JOIN scoring_runs AS r USING (scoring_run_id, batch_id)
    WHERE r.canary IS NULL OR s.propensity_version = r.propensity_version
    UNION ALL
    SELECT c.scoring_run_id, c.batch_id, c.loan_id, c.default_probability, c.decision, c.persona,
           c.reason_1, c.grade, s.decision
    FROM shadow_scores AS c
    JOIN scoring_runs AS r USING (scoring_run_id, batch_id)
    JOIN scores AS s USING (scoring_run_id, batch_id, loan_id)
    WHERE r.canary IS NOT NULL;
COMMENT ON VIEW champion_scores IS 'All loans of a scoring run as its champion scored them, also those that a canary decided: what monitoring measures';
COMMENT ON COLUMN champion_scores.decision IS 'The champion''s decision; of a canary''s loans it was not applied';
COMMENT ON COLUMN champion_scores.decision_of_run IS 'The decision that the run published';
-- A person sees the score of the canary's challenger.
CREATE OR REPLACE VIEW reviews AS
    SELECT a.loan_id, a.batch_id, a.scoring_run_id,
           CASE WHEN r.canary IS NULL THEN r.propensity_version
                ELSE coalesce((SELECT s.propensity_version FROM scores AS s
                               WHERE s.batch_id = a.batch_id AND s.scoring_run_id = a.scoring_run_id
                                 AND s.loan_id = a.loan_id),
                              r.propensity_version) END AS propensity_version, a.suggestion,
           a.default_probability, a.exclusion_reason, w.decision_of_model,
           CASE WHEN w.decision_of_model IS NULL THEN NULL
                WHEN a.decision = w.decision_of_model THEN 'none'
                WHEN a.decision = 'approve' THEN 'up'
                ELSE 'down' END AS override,
           a.decision, a.decided_by, a.decided_at, a.comment
    FROM (
        SELECT DISTINCT ON (batch_id, loan_id) *
        FROM approvals
        ORDER BY batch_id, loan_id, decided_at DESC
    ) AS a
    JOIN scoring_runs AS r USING (scoring_run_id)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN a.default_probability IS NULL OR r.policy IS NULL THEN NULL
                    WHEN a.default_probability
                         < ((r.policy #>> '{decision,approve_below}')::double precision
                            + (r.policy #>> '{decision,decline_from}')::double precision) / 2
                    THEN 'approve'
                    ELSE 'decline' END AS decision_of_model
    ) AS w;

ALTER TABLE promotions
    DROP CONSTRAINT promotions_occasion_check,
    ADD CONSTRAINT promotions_occasion_check
        CHECK (occasion IN ('training', 'command', 'rollback', 'shadow'));
COMMENT ON COLUMN promotions.occasion IS 'training: judged after it was fitted; shadow: judged after its nights beside the champion; command: a person promoted it; rollback: a person put back what the champion had replaced';
ALTER TABLE dropped_partitions
    DROP CONSTRAINT dropped_partitions_table_name_check,
    ADD CONSTRAINT dropped_partitions_table_name_check
        CHECK (table_name IN ('applications', 'scores', 'shadow_scores', 'calls'));
COMMENT ON COLUMN dropped_partitions.table_name IS 'Its table: applications, scores, shadow_scores or calls';

-- As in 0015, with shadow_scores.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE OR REPLACE FUNCTION create_partition(parent text, batch_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    here CONSTANT text := current_schema();
    low  text := 'history';
    high text := 'history~';
    name text := parent || '_history';
    may  record;
BEGIN
    IF parent NOT IN ('applications', 'scores', 'shadow_scores', 'calls') OR batch_id IS NULL THEN
        RAISE EXCEPTION '% has no monthly partitions', parent;
    END IF;
    IF batch_id <> 'history' THEN
        low := to_char(date_trunc('month', batch_id::date), 'YYYY-MM-DD');
        high := to_char(low::date + interval '1 month', 'YYYY-MM-DD');
        name := parent || to_char(low::date, '_YYYY_MM');
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(here || ':partitions:' || parent, 0));
    -- Not to_regclass: it may still answer from its cache what was true before the lock.
    IF EXISTS (SELECT FROM pg_class
               WHERE relname = name AND relnamespace = here::regnamespace) THEN
        RETURN;
    END IF;
    -- Here and not only before: retention may have dropped it while this waited for the lock.
    IF EXISTS (SELECT FROM dropped_partitions WHERE partition = name) THEN
        RAISE EXCEPTION 'retention has dropped %', name;
    END IF;
    EXECUTE format(
        'CREATE TABLE %I.%I (LIKE %I.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS)',
        here, name, here, parent);
    EXECUTE format('COMMENT ON TABLE %I.%I IS %L', here, name,
                   format('Partition of %s: %s up to below %s', parent, low, high));
    -- COPY goes straight into it: who may insert into the table may insert into its partition. What
    -- is deleted is deleted through the table.
    FOR may IN
        SELECT a.grantee::regrole::text AS grantee, a.privilege_type
        FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.relname = parent AND c.relnamespace = here::regnamespace
          AND a.grantee NOT IN (0, c.relowner) AND a.privilege_type IN ('SELECT', 'INSERT')
    LOOP
        EXECUTE format('GRANT %s ON %I.%I TO %s', may.privilege_type, here, name, may.grantee);
    END LOOP;
    EXECUTE format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
                   here, parent, here, name, low, high);
END $$;
REVOKE ALL ON FUNCTION create_partition FROM PUBLIC;
COMMENT ON FUNCTION create_partition IS 'Make the monthly partition of applications, scores, shadow_scores or calls that holds a batch, unless it is there';
