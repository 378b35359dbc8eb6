"""Nights without drift raise no alert, a drifted one names its columns, a rerun changes nothing."""

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models import registry
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.integration


def run(session: Session, drops: Replay, batch_id: str) -> dict[str, int]:
    ingest_batch(session, batch_id, drops.application_files[batch_id])
    score_batch(session, batch_id)
    return compare_batch(session, batch_id)


def test_undrifted_nights_raise_no_alert(ready: Session, drops: Replay) -> None:
    for batch_id in drops.batch_ids[:3]:
        assert run(ready, drops, batch_id)["alerts"] == 0


def alerts(session: Session) -> list[list]:
    return database.select_read_only(
        session.connection,
        "select kind, batch_id, last_batch_id, batches, state, changed_by from alerts"
        " order by batch_id, kind",
    )[1]


def test_income_shock_is_one_alert_in_plain_words(ready: Session, drops: Replay) -> None:
    assert run(ready, drops, drops.batch_ids[3])["alerts"] == 1
    ((message, severity, subject),) = database.select_read_only(
        ready.connection, "select message, severity, subject from open_alerts"
    )[1]
    assert message.startswith(
        "Other applicants than at training: Monthly income (income_usd_per_month) is "
    )
    assert "higher than at training (median" in message
    assert subject.startswith("income_usd_per_month")
    assert severity == "warning"
    ((evidence,),) = database.select_read_only(ready.connection, "select evidence from alerts")[1]
    assert evidence["income_usd_per_month"]["psi"] > evidence["income_usd_per_month"]["psi_noise"]


def test_measuring_again_writes_the_same_rows(ready: Session, drops: Replay) -> None:
    batch_id = drops.batch_ids[3]
    run(ready, drops, batch_id)
    queries = [
        "select d::text from drift d order by 1",
        "select a::text from alerts a order by 1",
        "select f::text from findings f order by 1",
    ]
    before = [database.select_read_only(ready.connection, query) for query in queries]
    compare_batch(ready, batch_id)
    assert [database.select_read_only(ready.connection, query) for query in queries] == before


def test_every_monitored_column_and_prediction_is_tested(ready: Session, drops: Replay) -> None:
    run(ready, drops, drops.batch_ids[0])
    _, rows = database.select_read_only(
        ready.connection,
        "select kind, count(distinct feature) from drift group by kind order by kind",
    )
    assert rows == [["data", len(ready.contract.monitored)], ["joint", 1], ["prediction", 4]]


def test_a_model_on_record_without_reasons_in_its_baseline_still_works(
    ready: Session, drops: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = registry.model_row

    def older(session: Session, version: str) -> database.Row:
        row = recorded(session, version)
        frozen = {k: v for k, v in (row["baseline"] or {}).items() if k != "reason_1"}
        return {**row, "model_version": f"older {version}", "baseline": frozen}

    monkeypatch.setattr(registry, "model_row", older)
    run(ready, drops, drops.batch_ids[0])
    _, rows = database.select_read_only(
        ready.connection, "select distinct feature from drift where kind = 'prediction' order by 1"
    )
    assert [feature for (feature,) in rows] == ["decision", "default_probability", "persona"]


def test_a_broken_correlation_is_an_alert_on_all_inputs_together(
    ready: Session, drops: Replay
) -> None:
    batch_id = drops.batch_ids[0]
    ingest_batch(ready, batch_id, drops.application_files[batch_id])
    score_batch(ready, batch_id)
    # Values of property go to other loans: the margins of every column stay as they were.
    with database.transaction(ready.connection), ready.connection.cursor() as cursor:
        cursor.execute(
            "WITH placed AS (SELECT loan_id, property_value_usd AS value, count(*) OVER () AS rows,"
            " row_number() OVER (ORDER BY loan_id) AS place FROM applications WHERE batch_id = %s)"
            " UPDATE applications AS a SET property_value_usd = other.value"
            " FROM placed JOIN placed AS other ON other.place = placed.place %% placed.rows + 1"
            " WHERE a.loan_id = placed.loan_id AND a.batch_id = %s",
            (batch_id, batch_id),
        )
    compare_batch(ready, batch_id)
    _, rows = database.select_read_only(
        ready.connection, "select kind, subject, message from alerts"
    )
    ((kind, subject, message),) = rows
    assert (kind, subject) == ("population", "all")
    assert "All inputs together: a classifier separates the batch from the baseline" in message
    assert "Value of the property" in message


def test_alert_speaks_of_the_revision_that_counts(ready: Session, drops: Replay, tmp_path) -> None:
    batch_id = drops.batch_ids[3]
    run(ready, drops, batch_id)
    lines = drops.application_files[batch_id].read_text().splitlines()
    (tmp_path / "x.csv").write_text("\n".join(lines[:-1]) + "\n")
    ingest_batch(ready, batch_id, tmp_path / "x.csv")
    score_batch(ready, batch_id)
    compare_batch(ready, batch_id)
    assert alerts(ready) == [["population", batch_id, batch_id, 1, "open", "metrics"]]
    ((run_id,),) = database.select_read_only(ready.connection, "select scoring_run_id from alerts")[
        1
    ]
    assert "-r2-" in run_id


def test_decisions_under_other_thresholds_are_not_held_against_the_old_ones(
    ready: Session, drops: Replay
) -> None:
    batch_id, policy = drops.batch_ids[0], ready.contract.decision
    half = policy.model_copy(update={"approve_below": policy.approve_below / 2})
    stricter = replace(ready, contract=ready.contract.model_copy(update={"decision": half}))
    run(stricter, drops, batch_id)
    features = {
        row[0]
        for row in database.select_read_only(
            ready.connection, "select feature from drift where kind = 'prediction'"
        )[1]
    }
    assert features == {"default_probability", "persona"}
    assert alerts(ready) == []
    _, told = database.select_read_only(
        ready.connection,
        "select metric, baseline is null from performance where segment = 'all'"
        " and metric in ('auc', 'f1', 'approval_rate') order by metric",
    )
    assert told == [["approval_rate", True], ["auc", False], ["f1", True]]
    # Measured by a process that has the contract of before, it is measured by the run's own policy.
    compare_batch(ready, batch_id)
    assert (
        len(
            database.select_read_only(
                ready.connection, "select 1 from drift where feature = 'decision'"
            )[1]
        )
        == 0
    )


def test_a_usual_weekday_raises_no_alert_and_says_what_it_was_compared_with(
    ready: Session, drops: Replay
) -> None:
    usual, shocked = drops.batch_ids[2], drops.batch_ids[3]
    run(ready, drops, usual)
    assert run(ready, drops, shocked)["alerts"] == 1
    # The eight weeks before: on the weekday of the shocked night all nights are like it.
    first = date.fromisoformat(usual)
    for days in range(1, 57):
        day = first - timedelta(days)
        same = day.weekday() == date.fromisoformat(shocked).weekday()
        copy_night(ready, shocked if same else usual, str(day))
    assert compare_batch(ready, shocked)["alerts"] == 0
    rows = database.select_read_only(
        ready.connection,
        "select against from drift where feature = 'income_usd_per_month' and scoring_run_id = "
        f"'{current_run(ready, shocked)}'",
    )[1]
    weekday = date.fromisoformat(shocked).strftime("%A")
    assert {row[0] for row in rows} == {f"{weekday}s of the last 8 weeks"}
    # A weekday that is usually like the others is held against these.
    copy_night(ready, shocked, str(first - timedelta(100)))
    with database.transaction(ready.connection), ready.connection.cursor() as cursor:
        cursor.execute(
            "UPDATE distributions SET profile = other.profile FROM distributions AS other"
            " WHERE other.feature = distributions.feature AND other.scoring_run_id = %s"
            " AND distributions.scoring_run_id <> %s",
            (current_run(ready, usual), current_run(ready, shocked)),
        )
    assert compare_batch(ready, shocked)["alerts"] == 1


def copy_night(session: Session, batch_id: str, day: str) -> None:
    """Copy the ledger and the distributions of a measured batch to another date."""
    run_id = current_run(session, batch_id)
    copies = {
        "batches": ({"batch_id": day}, f"batch_id = '{batch_id}' AND is_current"),
        "scoring_runs": (
            {"batch_id": day, "scoring_run_id": f"{day}-copy"},
            f"scoring_run_id = '{run_id}'",
        ),
        "distributions": ({"scoring_run_id": f"{day}-copy"}, f"scoring_run_id = '{run_id}'"),
        "drift": ({"scoring_run_id": f"{day}-copy"}, f"scoring_run_id = '{run_id}'"),
    }
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        for table, (values, rows) in copies.items():
            cursor.execute(
                f"INSERT INTO {table} SELECT (jsonb_populate_record(t, %s::jsonb)).*"
                f" FROM {table} AS t WHERE {rows}",
                (json.dumps(values),),
            )


def test_unscored_batch_is_said(ready: Session) -> None:
    with pytest.raises(StateError, match="has no published scores; run score for it first"):
        compare_batch(ready, "2026-01-05")


def test_distributions_hold_every_loan_of_the_batch(ready: Session, drops: Replay) -> None:
    batch_id = drops.batch_ids[0]
    for _ in range(2):
        run(ready, drops, batch_id)
        rows = database.rows(
            ready.connection, "select_distributions", scoring_run_id=current_run(ready, batch_id)
        )
        told = {row["feature"]: row for row in rows}
        assert {*(c.name for c in ready.contract.monitored), "decision", "persona"} < told.keys()
        for row in rows:
            counts = row["counts"]
            counted = sum(counts.values() if isinstance(counts, dict) else counts)
            assert counted + row["nulls"] == row["loans"] == 1000, row["feature"]
        score = told["default_probability"]
        assert sum(score["histogram"]) == score["loans"] - score["nulls"]


def current_run(session: Session, batch_id: str) -> str:
    return database.select_read_only(
        session.connection,
        f"select scoring_run_id from scoring_runs where is_current and batch_id = '{batch_id}'",
    )[1][0][0]
