"""The audit log is one chain, also with several writers at once, and later changes show."""

import threading
from collections.abc import Callable
from contextlib import closing

import psycopg2
import pytest

from loan_scoring import database, settings
from loan_scoring.cli.main import main
from loan_scoring.database import audit
from loan_scoring.database.session import Session
from loan_scoring.local.postgres import EmbeddedPostgres, embedded

pytestmark = pytest.mark.integration


def fill(session: Session, entries: int) -> None:
    for number in range(1, entries + 1):
        with database.transaction(session.connection):
            audit.record_entry(
                session, "airflow:ann", "alert.acknowledge", f"alert {number}", {"n": number}
            )


def as_owner(session: Session, statement: str) -> None:
    """Change rows without the triggers, as only a role that may alter the table can."""
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_log DISABLE TRIGGER USER")
        cursor.execute(statement)
        cursor.execute("ALTER TABLE audit_log ENABLE TRIGGER USER")


def test_entries_follow_each_other(empty: Session) -> None:
    assert audit.verify_chain(empty) == audit.ChainCheck(0, None, [])
    fill(empty, 3)
    found = audit.recent_entries(empty)
    assert [each["entry_id"] for each in found] == [3, 2, 1]
    assert [each["subject"] for each in audit.recent_entries(empty, before=3, limit=1)] == [
        "alert 2"
    ]
    assert (found[0]["done_by"], found[0]["details"]) == ("airflow:ann", {"n": 3})
    assert audit.verify_chain(empty) == audit.ChainCheck(3, found[0]["hash"], [])


@pytest.mark.attack
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET done_by = 'airflow:bob'",
        "DELETE FROM audit_log WHERE entry_id = 2",
        "TRUNCATE audit_log",
        "UPDATE approvals SET decision = 'approve'",
        "DELETE FROM approvals",
    ],
)
def test_changing_is_refused(empty: Session, statement: str) -> None:
    fill(empty, 2)
    with (
        pytest.raises(psycopg2.errors.RaiseException, match="append-only"),
        database.transaction(empty.connection),
        empty.connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert audit.verify_chain(empty).entries == 2


@pytest.mark.attack
@pytest.mark.parametrize(
    ("statement", "entry", "fault"),
    [
        ("UPDATE audit_log SET done_by = 'airflow:bob' WHERE entry_id = 2", 2, "it was changed"),
        ("UPDATE audit_log SET details = '{}' WHERE entry_id = 2", 2, "it was changed"),
        (
            "UPDATE audit_log SET recorded_at = recorded_at - interval '1 day' WHERE entry_id = 1",
            1,
            "it was changed",
        ),
        ("DELETE FROM audit_log WHERE entry_id = 2", 3, "entries before it are missing"),
        ("DELETE FROM audit_log WHERE entry_id = 1", 2, "entries before it are missing"),
        (
            "UPDATE audit_log AS a SET subject = 'other',"
            " hash = audit_hash(ROW(entry_id, recorded_at, done_by, action, 'other', details,"
            " previous_hash, hash,"
            " database_role)::audit_log) WHERE entry_id = 2",
            3,
            "it does not follow from the one before",
        ),
    ],
)
def test_tampering_shows(empty: Session, statement: str, entry: int, fault: str) -> None:
    fill(empty, 4)
    as_owner(empty, statement)
    assert audit.verify_chain(empty).faults == [{"entry_id": entry, "fault": fault}]


@pytest.mark.attack
def test_inserting_cannot_choose_number_time_or_hash(empty: Session) -> None:
    fill(empty, 1)
    with database.transaction(empty.connection), empty.connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_log VALUES (7, '2000-01-01', 'airflow:eve', 'a.b', '', '{}',"
            " repeat('0', 64), 'mine'), (9, '2000-01-01', 'airflow:eve', 'a.c', '', '{}', '', '')"
        )
    assert audit.verify_chain(empty).entries == 3
    assert audit.verify_chain(empty).faults == []


def test_two_writers_at_once_make_one_chain(empty: Session) -> None:
    writers, each = 4, 25
    start = threading.Barrier(writers)
    failed: list[BaseException] = []

    def write() -> None:
        try:
            with closing(database.connect_beside(empty.connection)) as connection:
                start.wait()
                fill(Session(empty.contract, connection), each)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    verified = audit.verify_chain(empty)
    assert (verified.entries, verified.faults) == (writers * each, [])


def test_second_writer_waits_for_the_first(empty: Session) -> None:
    with closing(database.connect_beside(empty.connection)) as connection:
        second = Session(empty.contract, connection)
        audit.record_entry(empty, "airflow:ann", "first.first", "x", {})
        done: list[int] = []

        def write() -> None:
            with database.transaction(connection):
                done.append(audit.record_entry(second, "airflow:bob", "second.second", "x", {}))

        thread = threading.Thread(target=write)
        thread.start()
        thread.join(0.3)
        assert done == []
        empty.connection.rollback()  # an entry that is rolled back leaves no gap
        thread.join(10)
        assert done == [1]
    assert audit.verify_chain(empty).faults == []


@pytest.mark.attack
def test_reader_may_verify_and_not_write(empty: Session, postgres: EmbeddedPostgres) -> None:
    fill(empty, 2)
    name = empty.connection.info.dbname
    url = postgres.url("loan_scoring_reader").rpartition("/")[0] + f"/{name}"
    with closing(database.connect("loan_default", url)) as connection:
        reader = Session(empty.contract, connection)
        assert audit.verify_chain(reader).entries == 2
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            audit.record_entry(reader, "airflow:eve", "a.b", "x", {})


def test_command_shows_the_chain_or_where_it_breaks(
    empty: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    info = empty.connection.info
    url = embedded().url("loan_scoring").rpartition("/")[0] + f"/{info.dbname}"
    fill(empty, 3)
    assert main(["audit", "--last", "2", "--database", url]) == 0
    out = capsys.readouterr().out
    assert "alert 3" in out
    assert "alert 1" not in out
    assert f"3 entries, one chain; its head is {audit.verify_chain(empty).hash}" in out
    as_owner(empty, "UPDATE audit_log SET subject = 'other' WHERE entry_id = 2")
    assert main(["audit", "--database", url]) == 1
    assert "entry 2: it was changed" in capsys.readouterr().err


def test_migration_numbers_and_seals_what_earlier_releases_recorded(
    new_database: Callable[..., str],
) -> None:
    """Approvals get numbers in the order of time, and entries keep their hashes."""
    folder = settings.home() / "sql" / "migrations"
    with closing(database.connect("old", new_database())) as connection:
        with database.transaction(connection), connection.cursor() as cursor:
            cursor.execute("create schema old; create domain loan_key as bigint")
            for path in sorted(folder.glob("*.sql")):
                if path.name < "0050":
                    cursor.execute(path.read_text())
            for kind in ("propensity", "personas"):
                cursor.execute(
                    "insert into models (model_version, kind, number, algorithm, parameters,"
                    " features, metrics, training_data, fingerprint, code_version, artifact,"
                    " artifact_sha256) values (%s, %s, 1, 'x', '{}', '{}', '{}', '{}', 'x', 'x',"
                    " 'x', 'x')",
                    (f"{kind}-1", kind),
                )
            cursor.execute(
                "insert into batches (batch_id, revision, source, sha256, state, is_current,"
                " received, accepted, quarantined)"
                " values ('2026-01-05', 1, 'x', 'x', 'published', true, 2, 2, 0);"
                "insert into scoring_runs (scoring_run_id, batch_id, revision, propensity_version,"
                " personas_version, state, applications)"
                " values ('run', '2026-01-05', 1, 'propensity-1', 'personas-1', 'planned', 2);"
                "insert into approvals (loan_id, decided_at, decision, comment, decided_by,"
                " batch_id, scoring_run_id, suggestion, default_probability) values"
                " (2, '2026-01-07', 'approve', 'x', 'airflow:ann', '2026-01-05', 'run', 'review',"
                " 0.3), (1, '2026-01-06', 'decline', 'x', 'airflow:ann', '2026-01-05', 'run',"
                " 'review', 0.4);"
                "insert into audit_log (done_by, action, subject, details)"
                " values ('airflow:ann', 'approval.approve', 'loan 2', '{}')"
            )
        for path in sorted(folder.glob("*.sql")):
            if path.name >= "0050":
                with database.transaction(connection), connection.cursor() as cursor:
                    cursor.execute(path.read_text())
        numbers = "select approval_id, loan_id from approvals order by 1"
        assert database.select_read_only(connection, numbers)[1] == [[1, 1], [2, 2]]
        kept = "select entry_id, action, database_role from audit_log order by 1"
        assert database.select_read_only(connection, kept)[1] == [
            [1, "approval.approve", None], [2, "rights.seal", "loan_scoring"],
            [3, "rights.seal", "loan_scoring"],
        ]  # fmt: skip
        assert database.rows(connection, "select_audit_faults") == []
        assert database.rows(connection, "select_record_faults") == []
        kept = "select loan_id, decision, decided_by from {} order by 1"
        for view in ("person_decisions", "reviews", "standing_approvals"):
            assert database.select_read_only(connection, kept.format(view))[1] == [
                [1, "decline", "airflow:ann"], [2, "approve", "airflow:ann"],
            ]  # fmt: skip
        next_number = "select nextval('approvals_approval_id_seq')"
        with connection.cursor() as cursor:
            cursor.execute(next_number)
            assert cursor.fetchone() == (3,)
            cursor.execute("alter table approvals disable trigger user")
            cursor.execute("update approvals set decision = 'approve' where approval_id = 1")
        (fault,) = database.rows(connection, "select_record_faults")
        assert (fault["kind"], fault["record_id"]) == ("approval", 2)
        assert fault["fault"] == "those up to it differ from what entry 3 seals"
        connection.rollback()
