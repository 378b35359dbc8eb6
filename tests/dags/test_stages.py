"""Each DAG by dag.test() on real Postgres: a second run leaves the same rows."""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from threading import Timer
from typing import Any
from urllib.parse import urlsplit

import pytest
from airflow.sdk.exceptions import ParamValidationError

from loan_scoring import database, settings
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.monitoring.retrain_requests import ask_where_drift_lasts

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

NIGHT = "2026-01-05"
LIMIT = timedelta(seconds=2)
Run = Callable[..., Any]


@pytest.fixture
def run(bag: Any, ready_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a stage's DAG to its end on the database of `ready`; return the DAG run."""
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", ready_url)

    def go(stage: str, batch: str | None = None, *, state: str = "success"):
        if state == "failed":  # the test is about the failure, not the retries
            for task in bag.dags[f"loan_default_{stage}"].tasks:
                monkeypatch.setattr(task, "retries", 0)
        done = bag.dags[f"loan_default_{stage}"].test(run_conf={"batch_id": batch} if batch else {})
        assert done.state == state
        return done

    return go


def rows(session: Session, *queries: str) -> list:
    return [database.select_read_only(session.connection, query)[1] for query in queries]


def twice(run: Run, session: Session, stage: str, key: str | None, *queries: str) -> list:
    """Run a stage twice; return the rows, which must be the same after both runs."""
    run(stage, key)
    first = rows(session, *queries)
    run(stage, key)
    assert rows(session, *queries) == first
    return first


def test_ingest(run: Run, ready: Session, drops: Replay) -> None:
    batches, applications = twice(
        run, ready, "ingest", NIGHT,
        "select b::text from batches b order by 1",
        "select count(*), count(distinct loan_id) from current_applications"
        " where batch_id = '2026-01-05'",
    )  # fmt: skip
    assert len(batches) == 2
    assert applications == [[1000, 1000]]


def test_check_links_to_the_page_of_the_verdicts(run: Run, ready: Session, drops: Replay) -> None:
    check = run("ingest", NIGHT).get_task_instance("check")
    link = check.xcom_pull(task_ids="check", key="_link_QualityPage")
    assert link == f"/loan-scoring/p/loan_default/quality/{NIGHT}?revision=1"
    assert settings.quality_page_path("loan_default", NIGHT, 1).is_file()


def test_ingest_of_the_history_goes_by_param(run: Run, ready: Session, drops: Replay) -> None:
    before = rows(ready, "select b::text from batches b")
    run("ingest", "history")
    assert rows(ready, "select b::text from batches b") == before


def test_task_that_waits_for_postgres_ends_at_its_limit(
    bag: Any, run: Run, ready: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = bag.dags["loan_default_score"].get_task("plan")
    monkeypatch.setattr(task, "execution_timeout", LIMIT)
    ready.connection.commit()
    patience = Timer(60, ready.connection.close)  # so that a failing test ends, too
    patience.start()
    with ready.connection.cursor() as cursor:
        cursor.execute("LOCK TABLE dropped_partitions IN ACCESS EXCLUSIVE MODE")
    plan = run("score", NIGHT, state="failed").get_task_instance("plan")
    patience.cancel()
    assert LIMIT <= timedelta(seconds=plan.duration) < 10 * LIMIT


@pytest.mark.parametrize("stage", ["ingest", "outcomes", "score", "metrics"])
def test_wrong_batch_id_is_refused_at_the_trigger(bag: Any, stage: str) -> None:
    param = bag.dags[f"loan_default_{stage}"].params.get_param("batch_id")
    for batch in (None, "history", NIGHT):
        assert param.resolve(batch) == batch
    for batch in ("", "2026-1-5", "20260105", "yesterday"):
        with pytest.raises(ParamValidationError, match="does not match"):
            param.resolve(batch)


def test_ingest_of_a_missing_file_fails_with_its_line(run: Run, ready: Session, capfd) -> None:
    run("ingest", "2021-01-01", state="failed")
    assert rows(ready, "select count(*) from batches where batch_id = '2021-01-01'") == [[[0]]]


@pytest.fixture
def land(bag: Any, ready_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Run the ingest DAG with one quick retry; return its task instance `land`."""
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", ready_url)
    dag = bag.dags["loan_default_ingest"]
    for task in dag.tasks:
        monkeypatch.setattr(task, "retries", 1)
        monkeypatch.setattr(task, "retry_delay", timedelta(seconds=0))

    def go(batch: str) -> Any:
        done = dag.test(run_conf={"batch_id": batch})
        return next(each for each in done.get_task_instances() if each.task_id == "land")

    return go


def test_broken_file_fails_with_its_line_and_is_not_tried_again(
    land: Callable[[str], Any], drops: Replay, ready: Session, capfd: pytest.CaptureFixture[str]
) -> None:
    path = drops.application_files[NIGHT].with_name("2026-03-01.csv")
    path.write_text(drops.application_files[NIGHT].read_text().replace("income", "salary", 1))
    task = land("2026-03-01")
    assert (task.state, task.try_number) == ("failed", 1)
    printed = "".join(capfd.readouterr())
    assert f"{path}: column income missing from the header; add what is missing" in printed
    assert "AirflowFailException" in printed
    assert rows(ready, "select count(*) from batches where batch_id = '2026-03-01'") == [[[0]]]


def test_missing_file_is_retried(
    land: Callable[[str], Any], capfd: pytest.CaptureFixture[str]
) -> None:
    task = land("2026-03-02")
    assert (task.state, task.try_number) == ("failed", 2)
    assert "no file of applications for 2026-03-02" in "".join(capfd.readouterr())


def test_outcomes(run: Run, ready: Session, drops: Replay) -> None:
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])
    taken, known = twice(
        run, ready, "outcomes", "2026-01-08",
        "select received, accepted, quarantined from outcome_drops where drop_id like '%01-08'",
        "select count(*) from outcomes where observed_on = '2026-01-08'",
    )  # fmt: skip
    assert taken == [[1000, 1000, 0]]
    assert known == [[1000]]


def test_correction_of_the_date_is_taken_after_its_file(
    run: Run, ready: Session, drops: Replay
) -> None:
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])
    (source,) = (path for path in drops.outcome_files if path.name.startswith("2026-01-08."))
    lines = source.read_text().splitlines()
    place = lines[0].split(",").index("Status")
    fields = lines[1].split(",")
    was = fields[place]
    fields[place] = "0" if was == "1" else "1"
    correction = source.with_name("2026-01-08.correction.csv")
    correction.write_text("\n".join([lines[0], ",".join(fields)]) + "\n")
    os.utime(correction, (0, 0))  # it has settled
    try:
        changes, (defaulted,), entries = twice(
            run, ready, "outcomes", "2026-01-08",
            "select change, changed_by from outcome_changes where drop_id like '%01-08%'"
            " order by 1",
            "select count(*), bool_and(is_default::int::text <> '" + was + "') from outcomes"
            " where drop_id = 'outcomes-2026-01-08.correction'",
            "select done_by from audit_log where action = 'outcomes.correct'",
        )  # fmt: skip
    finally:
        correction.unlink()
    assert changes == [["corrected", "airflow:loan_default_outcomes"], ["taken", None]]
    assert defaulted == [1, True]
    assert entries == [["airflow:loan_default_outcomes"]]


def test_outcomes_restate_performance(run: Run, ready: Session, drops: Replay) -> None:
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])
    run("score", NIGHT)
    run("metrics", NIGHT)
    assert rows(ready, "select state from performance_by_batch") == [[["unknown"]]]
    state, performance = twice(
        run, ready, "outcomes", "2026-01-08",
        "select state from performance_by_batch",
        "select p::text from performance p order by 1",
    )  # fmt: skip
    assert state == [["realised"]]
    assert len(performance) > 30


def test_work_of_a_killed_run_is_done_on_a_day_without_outcomes(
    run: Run, ready: Session, drops: Replay
) -> None:
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])
    run("score", NIGHT)
    run("metrics", NIGHT)
    take_outcomes(ready, drops.outcome_files[0])
    run("outcomes", "2020-01-01")
    assert rows(ready, "select state from performance_by_batch") == [[["realised"]]]


def test_day_without_outcomes_is_skipped(run: Run, drops: Replay) -> None:
    run("outcomes", "2020-01-01")


def test_lasting_cause_starts_training_once(run: Run, ready: Session, show: Any) -> None:
    from airflow.models.dagrun import DagRun

    def started() -> int:
        return len(DagRun.find(dag_id="loan_default_train", run_type="operator_triggered"))

    before = started()
    for night in ("2026-01-05", "2026-01-06"):
        show(night, "concept", is_mature=True)
    # The state after a task was killed before it started training.
    assert ask_where_drift_lasts(ready, "concept") == "2026-01-06"
    for day in ("2020-01-01", "2020-01-02"):  # nights without outcomes
        run("outcomes", day)
    assert started() == before + 1
    show("2026-01-20", "concept", is_mature=True)
    run("outcomes", "2020-01-03")
    assert started() == before + 2


def test_train(run: Run, ready: Session) -> None:
    models, promotions, trials, mirrored = twice(
        run, ready, "train", None,
        "select model_version from models order by 1",
        "select count(*) from promotions where verdict = 'promoted'",
        "select count(*), max(tried_at) from trials",
        "select name, alias, version from mlflow.registered_model_aliases order by 1",
    )  # fmt: skip
    assert models == [["personas-1"], ["propensity-1"]]
    assert promotions == [[2]]
    assert trials[0][0] == 4
    assert mirrored == [
        [f"loan_default.{kind}", "champion", 1] for kind in ("personas", "propensity")
    ]


def test_train_from_nothing_on_mapped_tasks(
    bag: Any, new_database: Callable[..., str], drops: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mapped tasks find the same trials and models as one process does."""
    url = new_database()
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", url)
    with open_session("loan_default", url) as session:
        ingest_batch(session, "history", drops.application_files["history"])
        assert bag.dags["loan_default_train"].test().state == "success"
        tasks, models, verdicts = rows(
            session,
            "select task, count(*) from task_metrics where errors = 0 group by 1 order by 1",
            "select model_version, artifact_sha256 from models order by 1",
            "select verdict, count(*), bool_and((select bool_and((gate ->> 'passed')::boolean)"
            " from jsonb_array_elements(evidence -> 'gates') as gate)) from promotions group by 1",
        )
    assert tasks == [
        ["train.cross_validate", 4],
        ["train.fit", 1],
        ["train.judge", 1],
        ["train.mirror", 1],
        ["train.notify", 1],
        ["train.plan", 1],
    ]
    assert settings.card_path("loan_default", "propensity-1").is_file()
    assert [row[0] for row in models] == ["personas-1", "propensity-1"]
    # A small sample may fail a gate by noise: the verdict must agree with its own gates.
    ((verdict, count, is_passed),) = verdicts
    assert (verdict, count) == ("promoted" if is_passed else "refused", 2)


def test_a_declared_empty_night_goes_through_every_stage(run: Run, ready: Session) -> None:
    for kind in ("applications", "outcomes"):
        (settings.landing_dir("loan_default") / kind).mkdir(parents=True, exist_ok=True)
        (settings.landing_dir("loan_default") / kind / "2025-12-25.EMPTY").touch()
    for stage in ("ingest", "score", "metrics", "outcomes"):
        run(stage, "2025-12-25")
    assert rows(ready, "select is_current, applications, scored from scoring_runs") == [
        [[True, 0, 0]]
    ]
    assert rows(ready, "select count(*) from alerts") == [[[0]]]


def test_score_and_metrics(run: Run, ready: Session, drops: Replay) -> None:
    shocked = drops.batch_ids[3]
    ingest_batch(ready, shocked, drops.application_files[shocked])
    scores, runs = twice(
        run, ready, "score", shocked,
        "select s::text from current_scores s order by loan_id",
        "select is_current, applications, scored + referred from scoring_runs",
    )  # fmt: skip
    assert len(scores) == 1000
    assert runs == [[True, 1000, 1000]]
    drift, alerts = twice(
        run, ready, "metrics", shocked,
        "select d::text from drift d order by 1",
        "select a::text from alerts a order by 1",
    )  # fmt: skip
    assert len(drift) > 100
    assert any("income" in alert[0] for alert in alerts)
    (metrics,) = rows(
        ready, "select distinct task, errors from task_metrics where run not like 'cli%' order by 1"
    )
    assert [row[0] for row in metrics] == [
        "metrics.ask_for_model",
        "metrics.measure",
        "metrics.notify",
        "score.notify",
        "score.plan",
        "score.publish",
        "score.score",
    ]


def test_scoring_of_an_unpublished_batch_fails(run: Run, ready: Session) -> None:
    run("score", "2021-01-01", state="failed")
    assert rows(ready, "select count(*) from scoring_runs") == [[[0]]]


def test_database_comes_from_the_airflow_connection(run: Run, ready_url: str) -> None:
    import sys

    from airflow.sdk import Connection

    with open_session("loan_default", Connection.get("loan_scoring").get_uri()) as session:
        name = session.connection.get_dsn_parameters()["dbname"]
    assert ready_url.endswith(f"/{name}")
    assert "loan_scoring_tasks" in sys.modules


@pytest.mark.parametrize("extra", [{"connect_timeout": 7, "keepalives": True}, "{}", 5, True])
def test_extra_of_the_connection_may_have_any_value(
    run: Run, ready_url: str, monkeypatch: pytest.MonkeyPatch, extra: Any
) -> None:
    from airflow.sdk import Connection

    parts = urlsplit(ready_url)
    connection = {
        "conn_type": "postgres", "host": parts.hostname, "port": parts.port, "extra": extra,
        "login": parts.username, "password": parts.password, "schema": parts.path[1:],
    }  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", json.dumps(connection))
    with open_session("loan_default", Connection.get("loan_scoring").get_uri()) as session:
        assert session.connection.info.dbname == parts.path[1:]
