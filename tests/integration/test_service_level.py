"""The service level in SQL, from rows written by hand."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from psycopg2.extensions import connection as Connection

from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.contract import Contract, ServiceLevel
from loan_scoring.database.applications import labelled_applications
from loan_scoring.database.migrations import migrate_schema
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import DatabaseError
from loan_scoring.ingest.batches import ingest_batch, land_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.local.postgres import EmbeddedPostgres
from loan_scoring.models.training.rows import fingerprint_of
from loan_scoring.monitoring.status import read_status
from loan_scoring.monitoring.status_text import render_status
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.integration


def select(session: Session, query: str) -> list[dict[str, Any]]:
    header, rows = database.select_read_only(session.connection, query)
    return [dict(zip(header, row, strict=True)) for row in rows]


def execute(session: Session, statement: str, *values: object) -> None:
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute(statement, values)


def slo(session: Session) -> dict[str, Any]:
    (row,) = select(session, "select * from slo")
    return row


def promised(contract: Contract, **level: float) -> Contract:
    return contract.model_copy(update={"service_level": ServiceLevel(**level)})


class Nights:
    """Writes nights by hand: when each landed and when its scores were visible."""

    def __init__(self, session: Session) -> None:
        self._session, self._now = session, datetime.now(UTC)
        self._number = 0
        for kind in ("propensity", "personas"):
            execute(
                session,
                "insert into models (model_version, kind, number, algorithm, parameters, features,"
                " metrics, training_data, fingerprint, code_version, artifact, artifact_sha256)"
                " values (%s, %s, 1, '', '{}', '{}', '{}', '{}', '', '', '', '')",
                f"{kind}-1",
                kind,
            )

    def add(self, ago: timedelta, state: str = "published", batch_id: str | None = None) -> str:
        """Add a night that landed so long ago; return its batch_id."""
        self._number += 1
        batch_id = batch_id or f"2026-01-{self._number:02}"
        self.revision(batch_id, 1, ago, state)
        return batch_id

    def revision(self, batch_id: str, revision: int, ago: timedelta, state: str) -> None:
        execute(
            self._session,
            "insert into batches (batch_id, revision, source, sha256, state, received, accepted,"
            " quarantined, landed_at) values (%s, %s, '', '', %s, 10, 10, 0, %s)",
            batch_id,
            revision,
            state,
            self._now - ago,
        )

    def score(self, batch_id: str, ago: timedelta, revision: int = 1) -> None:
        """Add a scoring run of the batch that was published so long ago."""
        self._number += 1
        execute(
            self._session,
            "insert into scoring_runs (scoring_run_id, batch_id, revision, propensity_version,"
            " personas_version, state, applications, scored, referred, published_at)"
            " values (%s, %s, %s, 'propensity-1', 'personas-1', 'published', 10, 10, 0, %s)",
            f"run-{self._number}",
            batch_id,
            revision,
            self._now - ago,
        )


@pytest.fixture
def nights(empty: Session) -> Nights:
    return Nights(empty)


def test_without_a_night_nothing_is_missed(empty: Session) -> None:
    assert slo(empty) == {
        "nights": 0, "nights_on_time": 0, "share_on_time": None, "scored_within_minutes": 60,
        "objective": 0.99, "error_budget": 0, "error_budget_left": 0,
        "landing_to_scores_seconds_p50": None, "landing_to_scores_seconds_p95": None,
        "landing_to_scores_seconds_p99": None,
    }  # fmt: skip


def test_percentiles_and_budget_are_numpys_and_arithmetics(empty: Session, nights: Nights) -> None:
    seconds = np.random.default_rng(7).uniform(60, 4800, 20).round(3)
    for each in seconds:
        nights.score(nights.add(timedelta(days=2)), timedelta(days=2, seconds=-each))
    row = slo(empty)
    on_time = int((seconds <= 3600).sum())
    assert 10 < on_time < 20
    assert (row["nights"], row["nights_on_time"]) == (20, on_time)
    assert row["share_on_time"] == pytest.approx(on_time / 20)
    assert row["error_budget"] == 0.2
    assert row["error_budget_left"] == pytest.approx(0.2 - (20 - on_time))
    assert row["error_budget_left"] < 0
    for name, share in (("p50", 50), ("p95", 95), ("p99", 99)):
        assert row[f"landing_to_scores_seconds_{name}"] == pytest.approx(
            np.percentile(seconds, share), abs=1e-6
        )


def test_which_nights_count_and_which_are_late(empty: Session, nights: Nights) -> None:
    day, minute = timedelta(days=1), timedelta(minutes=1)

    def counted() -> tuple[int, int]:
        row = slo(empty)
        return row["nights"], row["nights_on_time"]

    nights.add(59 * minute)  # its time has not passed
    assert counted() == (0, 0)
    nights.add(61 * minute)  # passed, and it is not scored
    assert counted() == (1, 0)
    nights.add(5 * minute, "landed")
    assert counted() == (1, 0)
    nights.add(5 * minute, "refused")  # can never be on time
    assert counted() == (2, 0)
    nights.score(nights.add(5 * minute), 4 * minute)  # scored before its time passed
    assert counted() == (3, 1)
    nights.score(nights.add(day), day - 60 * minute)  # at the last moment
    assert counted() == (4, 2)
    nights.score(nights.add(day), day - 61 * minute)
    assert counted() == (5, 2)
    nights.score(nights.add(31 * day), 31 * day - minute)  # outside the window
    nights.add(day, batch_id="history")
    assert counted() == (5, 2)


def test_a_night_is_judged_once_by_its_first_file_and_first_scores(
    empty: Session, nights: Nights
) -> None:
    day, minute = timedelta(days=2), timedelta(minutes=1)
    corrected = nights.add(day)
    nights.score(corrected, day - minute)
    nights.revision(corrected, 2, timedelta(days=1), "published")
    nights.score(corrected, timedelta(days=1) - 90 * minute, revision=2)
    row = slo(empty)
    assert (row["nights"], row["nights_on_time"]) == (1, 1)
    assert row["landing_to_scores_seconds_p99"] == 60
    refused = nights.add(day, "refused")
    nights.revision(refused, 2, day - minute, "published")
    nights.score(refused, day - 2 * minute, revision=2)
    row = slo(empty)
    assert (row["nights"], row["nights_on_time"]) == (2, 1)


def test_the_contracts_promise_is_what_counts_and_may_change_back(
    empty: Session, nights: Nights, loan_default: Contract
) -> None:
    night = nights.add(timedelta(days=1))
    nights.score(night, timedelta(days=1) - timedelta(minutes=30))
    assert slo(empty)["nights_on_time"] == 1
    strict = promised(loan_default, scored_within_minutes=15, nights_on_time=0.5)
    for contract, on_time, budget in ((strict, 0, 0.5), (loan_default, 1, 0.01)) * 2:
        assert migrate_schema(empty.connection, contract) == ["service_level"]
        assert migrate_schema(empty.connection, contract) == []
        row = slo(empty)
        assert (row["nights_on_time"], row["error_budget"]) == (on_time, budget)
    assert select(empty, "select count(*) as n from service_levels") == [{"n": 1}]


def test_a_promise_changes_no_model(loan_default: Contract, ready: Session) -> None:
    table = labelled_applications(ready, [])
    strict = promised(loan_default, scored_within_minutes=1)
    assert fingerprint_of(strict, table) == fingerprint_of(loan_default, table)


def test_another_try_of_the_same_file_is_no_later_landing(ready: Session, drops: Replay) -> None:
    file = drops.application_files["2026-01-05"]
    land_batch(ready, "2026-01-05", file)
    execute(ready, "update batches set landed_at = landed_at - interval '2 hours'")
    (before,) = select(ready, "select landed_at from batches where batch_id = '2026-01-05'")
    ingest_batch(ready, "2026-01-05", file)
    assert select(ready, "select landed_at from batches where batch_id = '2026-01-05'") == [before]
    score_batch(ready, "2026-01-05")
    row = slo(ready)
    assert (row["nights"], row["nights_on_time"]) == (1, 0)
    assert row["landing_to_scores_seconds_p50"] > 7200


TASKS = [
    # task, map index, rows, seconds, queue seconds, errors, memory
    ("score.plan", -1, 100, 0.5, 0.25, 0, 90),
    ("score.score", 0, 50, 2.0, 1.5, 1, 300),
    ("score.score", 1, 50, 4.0, 2.75, 0, 200),
    ("score.publish", -1, 100, 0.25, None, 2, 80),
    ("score.batch", -1, 70, 3.25, None, 0, 100),
    ("metrics.measure", -1, 0, 0.0, 0.0, 0, 50),
]


@pytest.fixture
def worked(empty: Session) -> Session:
    """Return a session with task rows written by hand, one of them long past."""
    for number, row in enumerate([*TASKS, ("score.score", 9, 9999, 999.0, 999.0, 9, 999)]):
        at = datetime.now(UTC) - timedelta(days=31 if row[1] == 9 else 1)
        execute(
            empty,
            "insert into task_metrics (run, task, map_index, rows, seconds, queue_seconds, errors,"
            " peak_memory_bytes, started_at, finished_at)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            f"run-{number}",
            *row,
            at,
            at,
        )
    return empty


def test_stages_are_what_their_tasks_were(worked: Session) -> None:
    metrics, score = select(worked, "select * from slo_stages order by stage")
    seconds, waited = [0.5, 2.0, 4.0, 0.25, 3.25], [0.25, 1.5, 2.75]
    assert (score["stage"], score["tasks"], score["rows"], score["errors"]) == ("score", 5, 370, 3)
    assert score["error_share"] == pytest.approx(2 / 5)
    for name, share in (("p50", 50), ("p95", 95), ("p99", 99)):
        assert score[f"seconds_{name}"] == pytest.approx(np.percentile(seconds, share))
    assert score["queue_seconds_p50"] == 1.5
    assert score["queue_seconds_p95"] == pytest.approx(np.percentile(waited, 95))
    assert score["rows_per_second"] == pytest.approx(370 / 10)
    assert score["peak_memory_bytes"] == 300
    assert score["saturation"] == pytest.approx(4.5 / (4.5 + 6.5))
    assert (metrics["stage"], metrics["rows_per_second"], metrics["saturation"]) == (
        "metrics", None, None,
    )  # fmt: skip


def test_every_column_of_the_views_has_a_comment(empty: Session) -> None:
    assert (
        select(
            empty,
            "select attrelid::regclass, attname from pg_attribute"
            " where attrelid in ('slo'::regclass, 'slo_stages'::regclass) and attnum > 0"
            " and col_description(attrelid, attnum) is null",
        )
        == []
    )


@pytest.fixture
def reader(empty: Session, postgres: EmbeddedPostgres) -> Iterator[Connection]:
    name = empty.connection.get_dsn_parameters()["dbname"]
    url = postgres.url("loan_scoring_reader").rpartition("/")[0] + f"/{name}"
    connection = database.connect("loan_default", url)
    yield connection
    connection.close()


def test_reader_may_select_it(reader: Connection) -> None:
    for name, rows in (("slo", 1), ("slo_stages", 0), ("service_levels", 1)):
        assert len(database.select_read_only(reader, f"select * from {name}")[1]) == rows


def test_reader_of_a_schema_of_before_may_select_it_too(
    new_database: Callable[..., str], postgres: EmbeddedPostgres
) -> None:
    """What a later migration adds is granted by the defaults of the first one."""
    url = new_database()
    with open_session("loan_default", url) as session:
        execute(session, "drop view slo, slo_stages; drop table service_levels")
        execute(session, "alter table task_metrics drop column queue_seconds")
        execute(session, "delete from schema_migrations where name like '0007%%'")
    refused = pytest.raises(DatabaseError, match=r"lacks 0007_\w+\.sql; run `loan-scoring migrate`")
    with refused, open_session("loan_default", url):
        pass
    with open_session("loan_default", url, migrates=True) as session:
        assert slo(session)["nights"] == 0
    reads = postgres.url("loan_scoring_reader").rpartition("/")[0] + "/" + url.rpartition("/")[2]
    connection = database.connect("loan_default", reads)
    assert database.select_read_only(connection, "select nights from slo")[1] == [[0]]
    connection.close()


def test_status_says_it_in_one_line(
    empty: Session,
    nights: Nights,
    postgres: EmbeddedPostgres,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "nights on time: none was due in the last 30 days" in render_status(read_status(empty))
    for late in (0, 0, 0, 0, 90):
        night = nights.add(timedelta(days=1))
        nights.score(night, timedelta(days=1, minutes=-late))
    assert (
        "nights on time: 4 of 5 within 60 minutes of landing (objective 0.99);"
        " error budget 0.05 late nights, -0.95 left"
    ) in render_status(read_status(empty))
    name = empty.connection.get_dsn_parameters()["dbname"]
    url = postgres.url("loan_scoring").rpartition("/")[0] + f"/{name}"
    assert main(["status", "--json", "--database", url]) == 0
    told = json.loads(capsys.readouterr().out)["slo"]
    assert (told["nights"], told["nights_on_time"], told["error_budget"]) == (5, 4, 0.05)
    assert told["landing_to_scores_seconds_p50"] == 0
