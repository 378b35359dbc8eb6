"""A change of a contract is cheap, and safe for whoever reads or works in the tables meanwhile."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from test_migrations import changed

from databases import execute as run_as_superuser
from loan_scoring import database, settings
from loan_scoring.cli.main import main
from loan_scoring.database import audit, patience
from loan_scoring.database.migrations import migrate_schema
from loan_scoring.database.schema_state import contract_step
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import BusyError, DatabaseError
from loan_scoring.local.postgres import EmbeddedPostgres

pytestmark = pytest.mark.integration

ROOMS = {
    "source": "rooms", "name": "room_count", "label": "Rooms", "type": "integer",
    "known": "application",
}  # fmt: skip
LONG_READER = "select count(*) from current_applications"
CATALOGUE = """
    select c.oid::text, c.relname, c.relfilenode::text, c.xmin::text, c.relacl::text
    from pg_class as c where relnamespace = 'loan_default'::regnamespace order by 1
"""
"""Changes with every DDL statement but COMMENT."""


def execute(session: Session, *statements: str) -> None:
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def select(session: Session, query: str) -> list[list]:
    return database.select_read_only(session.connection, query)[1]


def comment_of(session: Session, relation: str, column: str) -> str:
    return select(
        session,
        f"select col_description(attrelid, attnum) from pg_attribute"
        f" where attrelid = '{relation}'::regclass and attname = '{column}'",
    )[0][0]


@pytest.fixture
def reader(empty: Session) -> Iterator[None]:
    """A query on the applications that is still running, as an analyst's or a backup's."""
    with closing(database.connect_beside(empty.connection)) as other, other.cursor() as cursor:
        cursor.execute(LONG_READER)
        yield


def test_changed_threshold_needs_no_migration(empty: Session) -> None:
    before = select(empty, CATALOGUE)
    decision = empty.contract.decision.model_copy(update={"approve_below": 0.01})
    contract = empty.contract.model_copy(update={"decision": decision})
    assert migrate_schema(empty.connection, contract) == []
    assert select(empty, CATALOGUE) == before


def test_changed_label_sets_the_comment_and_touches_nothing_else(
    empty: Session, reader: None
) -> None:
    before = select(empty, CATALOGUE)
    contract = changed(empty.contract, gender={"label": "Sex of the applicant"})
    assert contract_step(contract) == contract_step(empty.contract)
    started = time.monotonic()
    assert migrate_schema(empty.connection, contract) == ["comments"]
    assert time.monotonic() - started < patience.LOCK_MILLISECONDS / 1000
    assert select(empty, CATALOGUE) == before
    for relation in ("applications", "current_applications"):
        assert comment_of(empty, relation, "gender").startswith("Sex of the applicant")
    assert audit.recent_entries(empty)[0]["details"]["changed"] == ["comments"]
    assert migrate_schema(empty.connection, contract) == []
    assert migrate_schema(empty.connection, empty.contract) == ["comments"]  # and back


@pytest.fixture
def analyst(postgres: EmbeddedPostgres, empty: Session) -> Iterator[str]:
    """A role with views of its own on ours, and with grants that are not ours."""
    name = empty.connection.info.dbname
    run_as_superuser(postgres, "create role analyst login password 'secret'",
                     f"grant connect, create, temporary on database {name} to analyst")  # fmt: skip
    execute(
        empty,
        "grant usage, create on schema loan_default to analyst",
        "grant select on current_applications, current_scores, batches to analyst",
    )
    superuser = f"{postgres.url('postgres').rpartition('/')[0]}/{name}"
    url = f"postgresql://analyst:secret@{superuser.rpartition('@')[2]}"
    run_at(
        url,
        "create schema mine",
        "create view mine.ours as select * from loan_default.current_applications",
        "create materialized view mine.kept as select * from mine.ours",
        # In our schema, but not of our role.
        "create view loan_default.theirs as select loan_id from current_scores",
    )
    yield url
    run_at(superuser, "drop owned by analyst cascade")
    run_as_superuser(postgres, "drop role analyst")


def run_at(url: str, *statements: str) -> None:
    with (
        closing(database.connect("loan_default", url)) as connection,
        database.transaction(connection),
        connection.cursor() as cursor,
    ):
        for statement in statements:
            cursor.execute(statement)


def test_new_column_leaves_the_views_and_grants_of_others(empty: Session, analyst: str) -> None:
    granted = "select has_table_privilege('analyst', 'current_applications', 'select')"
    before = select(empty, "select 'current_applications'::regclass::oid::int")
    contract = changed(empty.contract, room_count=ROOMS)
    # A role that comes later makes the owner grant all rights anew.
    execute(empty, "delete from schema_migrations where name like 'grants-%'")
    assert [step.partition("-")[0] for step in migrate_schema(empty.connection, contract)] == [
        "contract",
        "grants",
    ]
    assert select(empty, "select 'current_applications'::regclass::oid::int") == before
    assert select(empty, granted) == [[True]]
    assert select(empty, "select room_count from current_applications") == []
    assert comment_of(empty, "current_applications", "room_count").startswith("Rooms;")
    with closing(database.connect("loan_default", analyst)) as connection:
        for view in ("mine.ours", "theirs", "mine.kept"):
            assert database.select_read_only(connection, f"select * from {view}")[1] == []


def test_new_column_waits_in_short_tries_and_ends_in_one_line(
    empty: Session, reader: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile others work: each of their queries waits for one try at most."""
    for name, value in (
        ("LOCK_MILLISECONDS", 300),
        ("PAUSE_SECONDS", 0.2),
        ("PATIENCE_SECONDS", 2),
    ):
        monkeypatch.setattr(patience, name, value)
    waits: list[float] = []
    done = threading.Event()

    def work() -> None:
        with closing(database.connect_beside(empty.connection)) as other:
            while not done.is_set():
                started = time.monotonic()
                database.select_read_only(other, LONG_READER)
                waits.append(time.monotonic() - started)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        with pytest.raises(BusyError, match="have been in use for 2 s") as caught:
            migrate_schema(empty.connection, changed(empty.contract, room_count=ROOMS))
    finally:
        done.set()
        worker.join(30)
    line = str(caught.value)
    assert re.search(r"in use by process \d+ of loan_scoring \(loan-scoring\)", line)
    assert "run `loan-scoring migrate` again when that work is done" in line
    assert "\n" not in line
    assert len(waits) > 5
    assert 0.1 < max(waits) < 1.5  # one try and some slack for a busy machine
    assert select(empty, "select 1 from pg_attribute where attname = 'room_count'") == []


def test_new_column_is_there_as_soon_as_the_reader_is_done(
    empty: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "LOCK_MILLISECONDS", 100)
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.1)
    with closing(database.connect_beside(empty.connection)) as other, other.cursor() as cursor:
        cursor.execute(LONG_READER)
        timer = threading.Timer(1, other.commit)
        timer.start()
        contract = changed(empty.contract, room_count=ROOMS)
        assert migrate_schema(empty.connection, contract) == [contract_step(contract)]
        timer.join()


def test_session_refuses_a_schema_that_is_behind_and_does_not_migrate(
    empty: Session, empty_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(empty, "alter table applications drop column gender cascade")
    before = select(empty, CATALOGUE)
    assert main(["status", "--database", empty_url]) == 1
    err = capsys.readouterr().err
    assert "it lacks column gender; run `loan-scoring migrate`" in err
    assert err.count("\n") == 1
    assert select(empty, CATALOGUE) == before
    with open_session("loan_default", empty_url, migrates=True) as session:
        assert select(session, "select gender from current_applications") == []
    assert main(["status", "--database", empty_url]) == 0


def test_command_on_the_embedded_postgres_migrates(postgres: EmbeddedPostgres) -> None:
    url = postgres.url("loan_scoring")
    with open_session("loan_default", url, migrates=True) as session:
        execute(session, "alter table applications drop column gender cascade")
    assert main(["status"]) == 0
    with open_session("loan_default", url, migrates=False):
        pass


def test_session_sets_up_a_new_database_and_finishes_an_interrupted_set_up(
    new_database: Callable[..., str],
) -> None:
    url = new_database()
    with (
        pytest.raises(DatabaseError, match="it lacks all tables; run `loan-scoring migrate`"),
        open_session("loan_default", url, migrates=False),
    ):
        pass
    with open_session("loan_default", url) as session:
        execute(session, "delete from schema_migrations where name like 'contract-%'")
    with open_session("loan_default", url) as session:
        steps = select(session, "select name from schema_migrations where name like 'contract-%'")
    assert steps == [[contract_step(session.contract)]]


def test_changed_service_level_is_a_warning_until_it_is_migrated(
    empty: Session, empty_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    execute(empty, "update service_levels set nights_on_time = 0.5")
    with open_session("loan_default", empty_url):
        assert "run `loan-scoring migrate`" in caplog.text
    assert main(["migrate", "--database", empty_url]) == 0
    caplog.clear()
    with open_session("loan_default", empty_url):
        assert caplog.text == ""


def test_session_checks_its_schema_with_one_query(empty_url: str, empty: Session) -> None:
    with open_session("loan_default", empty_url) as session:
        (last,) = select(empty, "select left(query, 20) from pg_stat_activity"
                                f" where pid = {session.connection.info.backend_pid}")  # fmt: skip
        assert last == ["COMMIT"]
        tables = select(empty, "select count(*) from pg_locks where mode = 'AccessExclusiveLock'"
                               f" and pid = {session.connection.info.backend_pid}")  # fmt: skip
        assert tables == [[0]]


def test_view_of_others_on_a_table_that_must_go_is_named_in_one_line(
    postgres: EmbeddedPostgres, empty: Session, empty_url: str, analyst: str
) -> None:
    with (
        pytest.raises(DatabaseError) as caught,
        open_session("loan_default", empty_url) as session,
    ):
        execute(session, "drop view decisions_in_effect, reviews, reviewed_batches, current_scores")
    assert "(view theirs depends on view current_scores)" in str(caught.value)
    assert "change or drop what depends on it first" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_migration_drops_a_view() -> None:
    """A view that is dropped takes along the grants and views of others."""
    for path in sorted((settings.home() / "sql/migrations").glob("*.sql")):
        assert not re.search(r"drop\s+view", path.read_text(), re.IGNORECASE), path.name
