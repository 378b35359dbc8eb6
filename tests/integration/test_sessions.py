"""A session is ours: no default of a server, database or role changes what a stage does."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest
from poolers import pooler
from sqlalchemy import create_engine, text

from databases import execute, url_of, url_on
from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.contract import Contract
from loan_scoring.database.backup import write_backup
from loan_scoring.database.connection import SETTINGS
from loan_scoring.database.migrations import migrate_schema
from loan_scoring.database.restore import restore_backup
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import DatabaseError, StateError
from loan_scoring.ingest.batches import check_batch, ingest_batch, land_batch, publish_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.local.postgres import EmbeddedPostgres
from loan_scoring.local.postgres_account import choose_account
from loan_scoring.models.mlflow_schema import mlflow_url
from loan_scoring.scoring.batch import plan_scoring, publish_scores
from loan_scoring.scoring.mini_batch import score_mini_batch

pytestmark = pytest.mark.integration

NIGHT, NEXT = "2026-01-05", "2026-01-06"
HOSTILE = {
    "client_encoding": "LATIN1",
    "default_transaction_isolation": "serializable",
    "timezone": "Asia/Tokyo",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "-10",
    "standard_conforming_strings": "off",
    "statement_timeout": "50ms",
    "lock_timeout": "10ms",
    "idle_in_transaction_session_timeout": "50ms",
    "idle_session_timeout": "50ms",
}
"""Defaults that an administrator may have set, each with reasons of other programs."""

WAITING = """
    select count(*) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'advisory'
"""


def set_defaults(server: EmbeddedPostgres, url: str, **defaults: str) -> None:
    """Set defaults of a database, and of the role in the database."""
    name = url.rpartition("/")[2]
    for of in (f"database {name}", f"role loan_scoring in database {name}"):
        execute(server, *(f"alter {of} set {each} to '{to}'" for each, to in defaults.items()))


def select(connection: psycopg2.extensions.connection, query: str) -> list[list]:
    return database.select_read_only(connection, query)[1]


def test_defaults_of_database_role_and_environment_do_not_reach_a_session(
    postgres: EmbeddedPostgres, new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    set_defaults(postgres, url, **HOSTILE, transaction_timeout="1s")
    for variable, setting in (
        ("PGTZ", "timezone"),
        ("PGDATESTYLE", "DateStyle"),
        ("PGCLIENTENCODING", "client_encoding"),
    ):
        monkeypatch.setenv(variable, HOSTILE[setting])
    own = {"statement_timeout": "77s"}  # as a task sets it
    with (
        closing(database.connect("loan_default", url)) as first,
        closing(database.connect("loan_default", url, parameters=own)) as task,
        closing(database.connect_beside(first)) as beside,
    ):
        for connection, expected in (
            (first, SETTINGS),
            (beside, SETTINGS),
            (task, SETTINGS | {"statement_timeout": "77s"}),
        ):
            found = {name: select(connection, f"show {name}")[0][0] for name in expected}
            assert found.pop("DateStyle").startswith("ISO")
            assert found == {k: v for k, v in expected.items() if k != "DateStyle"}
            assert select(connection, "show client_encoding") == [["UTF8"]]
            assert select(connection, "show transaction_timeout") == [["0"]]
            assert select(connection, "show transaction_isolation") == [["read committed"]]
        time.sleep(0.2)  # longer than both idle time-outs of the defaults
        assert select(first, "select pg_sleep(0.1)::text, 0.1::float8 + 0.2") == [
            ["", 0.1 + 0.2],
        ]


def test_mlflow_gets_the_same_settings(empty: Session) -> None:
    query = parse_qs(urlsplit(mlflow_url(empty.connection)).query)
    assert query["client_encoding"] == ["UTF8"]
    with create_engine(mlflow_url(empty.connection)).connect() as connection:
        for name, value in (
            ("default_transaction_isolation", "read committed"),
            ("idle_session_timeout", "0"),
            ("search_path", "mlflow"),
        ):
            assert connection.execute(text(f"show {name}")).scalar() == value


def test_settings_of_the_url_are_kept_and_ours_go_before_them(empty_url: str) -> None:
    url = f"{empty_url}?options=-c%20work_mem%3D5MB%20-c%20lock_timeout%3D1ms"
    with closing(database.connect("loan_default", url)) as connection:
        assert select(connection, "show work_mem") == [["5MB"]]
        assert select(connection, "show lock_timeout") == [[SETTINGS["lock_timeout"]]]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_database_that_is_not_utf8_is_refused_in_one_line(
    postgres: EmbeddedPostgres, encoding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"in_{encoding.lower()}"
    execute(postgres, f"create database {name} owner loan_scoring encoding '{encoding}'"
                      " locale_provider libc locale 'C' template template0")  # fmt: skip
    assert main(["status", "--database", url_on(postgres, name)]) == 1
    err = capsys.readouterr().err
    assert f"/{name} stores text as {encoding}, and loan-scoring needs UTF8" in err
    assert err.count("\n") == 1


def test_key_is_stored_as_it_is_written_whatever_encoding_the_client_has(
    postgres: EmbeddedPostgres,
    new_database: Callable[..., str],
    loan_default: Contract,
    drops: Replay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, keys = new_database(), ["né-1", "日本-2", "plain-3"]
    set_defaults(postgres, url, client_encoding="LATIN1")
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    raw = loan_default.model_dump() | {"replay": {}}
    raw["columns"][0] |= {"type": "text", "range": None, "margin": None}
    header, *lines = drops.application_files[NIGHT].read_text().splitlines()[:4]
    assert header.startswith("ID,")
    rows = [key + line[line.index(",") :] for key, line in zip(keys, lines, strict=True)]
    night = tmp_path / "night.csv"
    night.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    with closing(database.connect("loan_default", url)) as connection:
        contract = Contract.model_validate(raw)
        migrate_schema(connection, contract)
        ingest_batch(Session(contract, connection), NIGHT, night)
        found = select(connection, "select loan_id from current_applications order by line_number")
    assert [key for (key,) in found] == keys


def test_backup_and_restore_keep_every_character_whatever_the_defaults_are(
    postgres: EmbeddedPostgres, empty: Session, new_database: Callable[..., str], tmp_path: Path
) -> None:
    rows = "select raw_text from quarantine order by 1"
    with database.transaction(empty.connection), empty.connection.cursor() as cursor:
        cursor.execute(
            "insert into quarantine select 'x', 1, n, text, '{broken}'"
            " from unnest(%s) with ordinality as t (text, n)",
            (["né", "日本"],),
        )
    target = new_database()
    for url in (url_of(empty), target):
        set_defaults(postgres, url, **HOSTILE)
    write_backup(tmp_path / "backup", url_of(empty))
    restore_backup(tmp_path / "backup", target)
    with open_session("loan_default", target) as session:
        assert select(session.connection, rows) == select(empty.connection, rows) != []


@pytest.fixture
def repeatable_url(postgres: EmbeddedPostgres, ready: Session) -> str:
    """The URL of a database whose transactions would see what there was before they waited."""
    url = url_of(ready)
    set_defaults(postgres, url, default_transaction_isolation="repeatable read")
    return url


def race(url: str, lock: str, *works: Callable[[Session], object]) -> list[BaseException | None]:
    """Run works at once, each in a session, and return their errors.

    All of them have begun and wait for `lock` before the first one goes on.
    """
    errors: list[BaseException | None] = [None] * len(works)

    def run(number: int) -> None:
        try:
            with open_session("loan_default", url) as session:
                works[number](session)
        except Exception as error:  # noqa: BLE001 - the test looks at every error
            errors[number] = error

    with open_session("loan_default", url) as holder:
        with database.transaction(holder.connection):
            database.lock(holder.connection, lock)
            threads = [threading.Thread(target=run, args=(i,)) for i in range(len(works))]
            for thread in threads:
                thread.start()
            with closing(database.connect_beside(holder.connection)) as watch:
                until = time.monotonic() + 60
                waiting = (
                    "select count(*) from pg_locks where not granted and locktype = 'advisory'"
                )
                waiting += " and database = (select oid from pg_database where datname ="
                waiting += " current_database())"
                while select(watch, waiting) != [[len(works)]] and time.monotonic() < until:
                    time.sleep(0.02)
        for thread in threads:
            thread.join(60)
    return errors


def test_fifty_loans_get_into_one_of_two_batches_whatever_isolation_is_the_default(
    repeatable_url: str, drops: Replay, tmp_path: Path
) -> None:
    header, *first = drops.application_files[NIGHT].read_text().splitlines()
    second = drops.application_files[NEXT].read_text().splitlines()[1:]
    both = tmp_path / "next.csv"
    both.write_text("\n".join([header, *first[:50], *second[50:]]) + "\n")
    files = {NIGHT: drops.application_files[NIGHT], NEXT: both}
    with open_session("loan_default", repeatable_url) as session:
        for batch_id, path in files.items():
            assert land_batch(session, batch_id, path).accepted == 1000
            check_batch(session, batch_id, 1)
    errors = race(
        repeatable_url,
        "publish",
        *(lambda s, b=b, p=p: publish_batch(s, b, 1, p) for b, p in files.items()),
    )
    assert sorted(type(each).__name__ for each in errors) == ["NoneType", "StateError"]
    with open_session("loan_default", repeatable_url) as session:
        assert select(
            session.connection,
            "select count(*), count(distinct loan_id) from current_applications"
            " where batch_id <> 'history'",
        ) == [[1000, 1000]]


def test_two_publishes_at_once_leave_one_current_run_whatever_isolation_is_the_default(
    postgres: EmbeddedPostgres, scored: Session
) -> None:
    url, runs = url_of(scored), []
    for threshold in (0.1, 0.2):
        decision = scored.contract.decision.model_copy(update={"approve_below": threshold})
        contract = scored.contract.model_copy(update={"decision": decision})
        planned = plan_scoring(Session(contract, scored.connection), NIGHT)
        for mini_batch in planned.mini_batches:
            score_mini_batch(scored, planned.scoring_run_id, mini_batch)
        runs.append(planned.scoring_run_id)
    set_defaults(postgres, url, default_transaction_isolation="repeatable read")
    works = [lambda session, run=run: publish_scores(session, run) for run in runs]
    errors = race(url, f"batch:{NIGHT}", *works)
    assert all(each is None or isinstance(each, StateError) for each in errors), errors
    current = select(scored.connection, "select scoring_run_id from scoring_runs where is_current")
    assert len(current) == 1
    assert current[0][0] in runs
    assert select(
        scored.connection, "select count(*), count(distinct scoring_run_id) from current_scores"
    ) == [[1000, 1]]


@pytest.mark.parametrize("command", [["ingest", "--batch", NIGHT], ["migrate"]])
def test_database_that_only_reads_is_named_in_one_line(
    command: list[str],
    postgres: EmbeddedPostgres,
    new_database: Callable[..., str],
    drops: Replay,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = new_database(template=None if command == ["migrate"] else "migrated")
    set_defaults(postgres, url, default_transaction_read_only="on")
    source = ["--source", str(drops.application_files[NIGHT])] * (command != ["migrate"])
    assert main([*command, *source, "--database", url]) == 1
    err = capsys.readouterr().err
    assert "only reads (cannot execute" in err
    assert "ALTER DATABASE ... RESET default_transaction_read_only" in err
    assert err.count("\n") == 1


@pytest.fixture
def standby_url(tmp_path: Path) -> Iterator[str]:
    """The URL of a standby of a server with the tables of a portfolio."""
    server = EmbeddedPostgres(tmp_path / "state").start()
    try:
        with open_session("loan_default", server.url()):
            pass
        server.stop()
        (server.data / "standby.signal").touch()
        assert server._try_start(choose_account(server.folder)) == ""
        yield server.url()
    finally:
        server.stop()


def test_standby_is_read_and_a_write_names_the_primary_in_one_line(
    standby_url: str, drops: Replay, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--database", standby_url]) == 0
    capsys.readouterr()
    night = ["--batch", NIGHT, "--source", str(drops.application_files[NIGHT])]
    assert main(["ingest", *night, "--database", standby_url]) == 1
    err = capsys.readouterr().err
    assert "is a standby; name the primary server in the URL" in err
    assert err.count("\n") == 1


def test_serialization_failure_says_that_the_command_may_run_again(
    empty: Session, empty_url: str
) -> None:
    change = "update service_levels set changed_at = now()"
    with (  # noqa: PT012 - only the last statement fails
        pytest.raises(DatabaseError, match="run the same command again") as caught,
        open_session("loan_default", empty_url) as session,
        session.connection.cursor() as cursor,
    ):
        cursor.execute("set transaction isolation level repeatable read")
        cursor.execute("select 1")
        with database.transaction(empty.connection), empty.connection.cursor() as other:
            other.execute(change)
        cursor.execute(change)  # waits for nobody, but its snapshot is older than the change
    assert isinstance(caught.value.__cause__, psycopg2.errors.SerializationFailure)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("refuses", "found"),
    [
        (True, "unsupported startup parameter: options; "),
        (False, 'does not take the settings of a session (search_path is "$user", public and not'),
    ],
)
def test_pooler_that_drops_the_settings_is_refused_in_one_line(
    refuses: bool, found: str, empty_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(pooler(empty_url, refuses=refuses))
        assert main(["status", "--database", url]) == 1
    err = capsys.readouterr().err
    assert found in err
    assert "name the host and port of Postgres itself in the URL" in err
    assert err.count("\n") == 1
    assert urlsplit(empty_url).password not in err
