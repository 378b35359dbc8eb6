"""Nights in turn on a real scheduler, each with the outcomes that are due and what they ask for.

What changes is when loans default, and on the last night a fifth of the incomes is missing. The
suite has four nights of a part of the loans; LOAN_SCORING_NIGHTS=5000 has ten nights of so many
loans of the whole file, by the contract as it is.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from loan_scoring import contract, database, settings
from loan_scoring.database.session import Session, open_session
from loan_scoring.lab.replay import Replay, replay_loans
from loan_scoring.local.airflow_client import AirflowClient
from loan_scoring.local.airflow_stack import STAGES, airflow_stack
from loan_scoring.local.postgres import embedded

pytestmark = [pytest.mark.nights, pytest.mark.end_to_end, pytest.mark.integration]

PORTFOLIO = "loan_default"
PATIENCE_SECONDS = 1500


@dataclass(frozen=True)
class Course:
    """So many nights; loans default otherwise from `changed_from` on."""

    nights: int
    per_night: int
    changed_from: int
    source: str | None

    def scenarios(self) -> dict[int, list[str]]:
        found = {night: ["target_shift"] for night in range(self.changed_from, self.nights + 1)}
        found[self.nights].append("missing_income")
        return found


def short(raw: dict[str, Any]) -> None:
    """Have outcomes the night after, and gates that so few loans do not fail by noise."""
    raw["replay"]["outcome_lag_nights"] = 1
    raw["training"]["min_recent_loans"] = 1000
    raw["promotion"]["calibration_slope"] = [0.4, 2.5]
    raw["promotion"]["fairness"]["min_ratio"] = 0.3


@pytest.fixture
def course(tmp_path: Path, labelled_loans: Path | None, monkeypatch: pytest.MonkeyPatch) -> Course:
    per_night = int(os.environ.get("LOAN_SCORING_NIGHTS", "0"))
    whole = os.environ.get("LOAN_SCORING_SOURCE")
    portfolios = settings.home() / "include" / "portfolios" if per_night else None
    raw = yaml.safe_load(
        ((portfolios or settings.portfolios_dir()) / f"{PORTFOLIO}.yaml").read_text()
    )
    if not per_night:
        short(raw)
    (tmp_path / "portfolios").mkdir()
    path = tmp_path / "portfolios" / f"{PORTFOLIO}.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(path.parent))
    monkeypatch.setenv("LOAN_SCORING_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path / "data"))
    if per_night:
        return Course(10, per_night, 3, whole)
    return Course(4, 1000, 1, str(labelled_loans) if labelled_loans else None)


@contextmanager
def running(cut: Replay) -> Iterator[tuple[Session, AirflowClient]]:
    """Give a session and a running Airflow, both ended afterwards."""
    of = contract.load(PORTFOLIO)
    url = embedded().start().url("loan_scoring")
    try:
        with open_session(PORTFOLIO, url) as session, airflow_stack([of], url) as client:
            for stage in STAGES:
                client.unpause(f"{PORTFOLIO}_{stage}")
            yield session, client
    finally:
        embedded().stop()


def rows(session: Session, statement: str) -> list[tuple]:
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def wait(client: AirflowClient, what: str, until: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while not until():
        failed = [
            run
            for run in client.dag_runs(states=["failed"])
            if not run.run_id.startswith("scheduled__")
        ]
        assert not failed, (failed, client.failed_tasks())
        assert time.monotonic() < ends, f"no end of waiting for {what}"
        time.sleep(0.5)


def pass_night(session: Session, client: AirflowClient, cut: Replay, date: str) -> None:
    """Bring in the outcomes of a date, the models they ask for, then the date's applications."""

    def is_idle() -> bool:
        """Return whether all is done, and each request for models was followed by a verdict."""
        pending = rows(
            session,
            "SELECT 1 FROM retrain_requests AS r WHERE verdict = 'asked' AND NOT EXISTS"
            " (SELECT FROM promotions AS p WHERE p.decided_at > r.requested_at)",
        )
        return not pending and not client.dag_runs(states=["queued", "running"])

    if any(path.name.startswith(f"{date}.") for path in cut.outcome_files):
        client.trigger(f"{PORTFOLIO}_outcomes", partition_key=date)
        wait(client, f"outcomes of {date}", is_idle)
    if date in cut.batch_ids:
        client.trigger(f"{PORTFOLIO}_ingest", partition_key=date)
        compared = (
            "SELECT 1 FROM scoring_runs AS r JOIN drift USING (scoring_run_id) "
            f"WHERE r.batch_id = '{date}' AND r.is_current"
        )
        wait(client, f"night {date}", lambda: bool(rows(session, compared)) and is_idle())


def test_other_defaults_ask_once_and_bad_data_never(course: Course) -> None:
    of = contract.load(PORTFOLIO)
    cut = replay_loans(
        of,
        source=course.source,
        nights=course.nights,
        per_night=course.per_night,
        scenarios=course.scenarios(),
        landing=settings.landing_dir(PORTFOLIO),
    )
    due = {path.name.split(".")[0] for path in cut.outcome_files}
    dates = sorted({*cut.batch_ids, *due})
    changed = cut.batch_ids[course.changed_from - 1]
    with running(cut) as (session, client):
        client.trigger(f"{PORTFOLIO}_ingest", conf={"batch_id": "history"})
        wait(client, "the first models", lambda: bool(rows(session, "SELECT 1 FROM promotions")))
        for date in dates:
            pass_night(session, client, cut, date)
        alerts = rows(
            session, "SELECT kind, state, batch_id, last_batch_id, message FROM alerts ORDER BY 1"
        )
        requests = rows(
            session,
            "SELECT cause, verdict, batch_id, reason FROM retrain_requests ORDER BY request_id",
        )
        models = rows(
            session, "SELECT batch_id, propensity_version FROM scoring_runs WHERE is_current"
        )
        verdicts = dict(
            rows(
                session,
                "SELECT model_version, verdict FROM promotions WHERE model_version LIKE 'prop%'",
            )
        )
        moved = rows(
            session,
            "SELECT batch_id, feature, test FROM drift JOIN scoring_runs USING (scoring_run_id)"
            " WHERE kind IN ('data', 'joint') AND level <> 'stable' AND is_current",
        )
        health = rows(
            session,
            "SELECT batch_id, state, round(baseline_auc::numeric, 3),"
            " round(realised_auc::numeric, 3), round(realised_default_rate::numeric, 3)"
            " FROM performance_by_batch ORDER BY batch_id",
        )
    told = "\n".join(map(str, [*alerts, *requests, *sorted(models), *verdicts.items(), *health]))
    print(told)  # noqa: T201 - the long form is run for its figures

    # Nothing of the inputs drifts but on the night when a fifth of the incomes is missing.
    last = cut.batch_ids[-1]
    assert {row[0] for row in moved} == {last}, moved
    assert [(row[0], row[2]) for row in alerts if row[1] == "open"] == [("bad_data", last)], told
    assert {row[0] for row in alerts} <= {"concept", "bad_data", "quality"}
    assert {row[0] for row in requests} == {None, "concept"}

    # Other defaults are found once outcomes are in, ask once, and end with the new champion.
    (concept,) = [row for row in alerts if row[0] == "concept"]
    assert concept[1:3] == ("resolved", changed), told
    asked = [row for row in requests if row[1] == "asked" and row[0] is not None]
    assert [row[0] for row in asked] == ["concept"], told
    assert verdicts == {"propensity-1": "promoted", "propensity-2": "promoted"}
    by_night = dict(models)
    assert by_night[changed] == "propensity-1"
    assert by_night[last] == "propensity-2"
    assert concept[3] == max(n for n, version in models if version == "propensity-1")
