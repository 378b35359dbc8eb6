ALTER TABLE task_metrics ADD COLUMN queue_seconds double precision CHECK (queue_seconds >= 0);
COMMENT ON COLUMN task_metrics.queue_seconds IS 'Seconds from when all that the task waits for was done (its run started, the tasks before it ended) until Airflow started it; null for a command, for a later try, and after a task that has no row here';

-- A night is judged from the landing of its first file; another try of it is no other landing.
COMMENT ON COLUMN batches.landed_at IS 'When the rows were first copied in; another try of the same bytes keeps it';

CREATE TABLE service_levels (
    is_only               boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    scored_within_minutes double precision NOT NULL CHECK (scored_within_minutes > 0),
    nights_on_time        double precision NOT NULL CHECK (nights_on_time > 0 AND nights_on_time <= 1),
    changed_at            timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE service_levels IS 'The contract''s service_level for SQL: one row, kept equal to the contract';
COMMENT ON COLUMN service_levels.is_only IS 'Always true: there is one row';
COMMENT ON COLUMN service_levels.scored_within_minutes IS 'Within how many minutes of the landing of its file a night''s scores are to be visible';
COMMENT ON COLUMN service_levels.nights_on_time IS 'On which share of nights';
COMMENT ON COLUMN service_levels.changed_at IS 'When the contract last changed it';

CREATE VIEW slo AS
    WITH landed AS (
        SELECT
            b.landed_at, b.state = 'refused' AS is_refused,
            b.landed_at + s.scored_within_minutes * interval '1 minute' AS due_at,
            (SELECT min(r.published_at) FROM scoring_runs AS r
              WHERE r.batch_id = b.batch_id) AS scored_at
        FROM batches AS b
        CROSS JOIN service_levels AS s
        WHERE b.revision = 1 AND b.batch_id <> 'history'
          AND b.landed_at > now() - interval '30 days'
    ), judged AS (
        SELECT
            count(*) AS nights,
            count(*) FILTER (WHERE NOT is_refused AND scored_at <= due_at) AS nights_on_time,
            percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP
                (ORDER BY extract(epoch FROM scored_at - landed_at)) AS seconds
        FROM landed
        WHERE is_refused OR scored_at IS NOT NULL OR due_at < now()
    )
    SELECT
        j.nights,
        j.nights_on_time,
        j.nights_on_time::double precision / nullif(j.nights, 0) AS share_on_time,
        s.scored_within_minutes,
        s.nights_on_time AS objective,
        -- As numeric, so that 1 - 0.99 is 0.01.
        (j.nights * (1 - s.nights_on_time::numeric))::double precision AS error_budget,
        (j.nights_on_time - j.nights * s.nights_on_time::numeric)::double precision
            AS error_budget_left,
        j.seconds[1] AS landing_to_scores_seconds_p50,
        j.seconds[2] AS landing_to_scores_seconds_p95,
        j.seconds[3] AS landing_to_scores_seconds_p99
    FROM service_levels AS s
    CROSS JOIN judged AS j;
COMMENT ON VIEW slo IS 'Whether the nights that landed within 30 days kept the contract''s service_level; one row. A night whose file did not land is none, one whose time has not passed yet is not counted';
COMMENT ON COLUMN slo.nights IS 'Nights that are scored, refused, or late by now';
COMMENT ON COLUMN slo.nights_on_time IS 'Those whose first file was not refused and whose scores were first visible within scored_within_minutes of its landing, so that replayed nights are judged as live ones are';
COMMENT ON COLUMN slo.share_on_time IS 'nights_on_time / nights; null without a night';
COMMENT ON COLUMN slo.scored_within_minutes IS 'The contract''s service_level.scored_within_minutes';
COMMENT ON COLUMN slo.objective IS 'The contract''s service_level.nights_on_time, a share';
COMMENT ON COLUMN slo.error_budget IS 'How many of these nights the objective allows to be late';
COMMENT ON COLUMN slo.error_budget_left IS 'error_budget without the nights that are late; below 0 the objective is missed';
COMMENT ON COLUMN slo.landing_to_scores_seconds_p50 IS 'Median of the seconds from landing to visible scores, of the nights that are scored';
COMMENT ON COLUMN slo.landing_to_scores_seconds_p95 IS 'Their 95th percentile';
COMMENT ON COLUMN slo.landing_to_scores_seconds_p99 IS 'Their 99th percentile';

CREATE VIEW slo_stages AS
    SELECT
        split_part(task, '.', 1) AS stage,
        count(*) AS tasks,
        sum(rows)::bigint AS rows,
        sum(errors) AS errors,
        count(*) FILTER (WHERE errors > 0)::double precision / count(*) AS error_share,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS seconds_p50,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS seconds_p95,
        percentile_cont(0.99) WITHIN GROUP (ORDER BY seconds) AS seconds_p99,
        sum(rows)::double precision / nullif(sum(seconds), 0) AS rows_per_second,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY queue_seconds) AS queue_seconds_p50,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY queue_seconds) AS queue_seconds_p95,
        max(peak_memory_bytes) AS peak_memory_bytes,
        sum(queue_seconds) / nullif(sum(queue_seconds + seconds), 0) AS saturation
    FROM task_metrics
    WHERE started_at > now() - interval '30 days'
    GROUP BY stage;
COMMENT ON VIEW slo_stages IS 'What the tasks of the last 30 days did, cost and waited for; one row a stage';
COMMENT ON COLUMN slo_stages.stage IS 'First part of task_metrics.task';
COMMENT ON COLUMN slo_stages.tasks IS 'Tasks and commands, each with its last try';
COMMENT ON COLUMN slo_stages.rows IS 'Rows that they handled; a row that three tasks handle counts three times';
COMMENT ON COLUMN slo_stages.errors IS 'Tries that failed';
COMMENT ON COLUMN slo_stages.error_share IS 'Share of the tasks that failed at least once';
COMMENT ON COLUMN slo_stages.seconds_p50 IS 'Median of the tasks'' seconds of work';
COMMENT ON COLUMN slo_stages.seconds_p95 IS 'Their 95th percentile';
COMMENT ON COLUMN slo_stages.seconds_p99 IS 'Their 99th percentile';
COMMENT ON COLUMN slo_stages.rows_per_second IS 'rows / all seconds of work: what one task at a time does';
COMMENT ON COLUMN slo_stages.queue_seconds_p50 IS 'Median of the tasks'' seconds of waiting, where they are known';
COMMENT ON COLUMN slo_stages.queue_seconds_p95 IS 'Their 95th percentile';
COMMENT ON COLUMN slo_stages.peak_memory_bytes IS 'The most that the process of one task took';
COMMENT ON COLUMN slo_stages.saturation IS 'Share of waiting in waiting and working, of the tasks whose wait is known: near 0 tasks start as soon as they may, near 1 there is more to do than Airflow starts';
