"""A portfolio's schema is migrated once, also by processes at the same time, without loss."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest

from loan_scoring import contract as contracts
from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.database import audit
from loan_scoring.database.connection import ALIVE
from loan_scoring.database.migrations import migrate_schema
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import DatabaseError
from loan_scoring.local.postgres import EmbeddedPostgres
from loan_scoring.models.mlflow_schema import mlflow_url

pytestmark = pytest.mark.integration

MIGRATE = "import sys; from loan_scoring.database.session import open_session\n"
MIGRATE += "with open_session('loan_default', sys.argv[1]): pass"


def changed(contract: Contract, **columns: dict | None) -> Contract:
    """Return the contract with columns changed, removed (None) or added."""
    raw = contract.model_dump()
    # The distribution of a generated column belongs to its old type.
    kept = [
        c | {"margin": None} | changes if (changes := columns.get(c["name"])) else c
        for c in raw["columns"]
    ]
    raw["columns"] = [c for c in kept if columns.get(c["name"], {}) is not None]
    known = {c["name"] for c in raw["columns"]}
    raw["columns"] += [c for name, c in columns.items() if c and name not in known and "name" in c]
    raw["desk"]["columns"] = None  # one of them may be changed here
    return Contract.model_validate(raw)


def test_second_run_applies_nothing(empty: Session) -> None:
    assert migrate_schema(empty.connection, empty.contract) == []


def test_many_processes_at_once_end_in_one_schema(new_database: Callable[..., str]) -> None:
    url = new_database()
    started = [subprocess.Popen([sys.executable, "-c", MIGRATE, url]) for _ in range(4)]
    assert [process.wait(60) for process in started] == [0] * 4
    with open_session("loan_default", url) as session:
        _, rows = database.select_read_only(
            session.connection, "select name, count(*) from schema_migrations group by name"
        )
    files = {path.name for path in (settings.home() / "sql/migrations").glob("*.sql")}
    assert {row[0] for row in rows} > files
    assert {row[1] for row in rows} == {1}


def test_every_table_and_column_has_a_comment(empty: Session) -> None:
    _, bare = database.select_read_only(
        empty.connection,
        """
        select c.relname, a.attname
        from pg_class c
        left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            and col_description(c.oid, a.attnum) is null
        where c.relnamespace = 'loan_default'::regnamespace and c.relkind in ('r', 'p', 'v')
          and (a.attname is not null or obj_description(c.oid) is null)
        """,
    )
    assert bare == []


def test_new_column_of_the_contract_is_added(empty: Session) -> None:
    new = {
        "source": "rooms", "name": "room_count", "label": "Rooms", "type": "integer",
        "known": "application",
    }  # fmt: skip
    applied = migrate_schema(empty.connection, changed(empty.contract, room_count=new))
    assert [name.split("-")[0] for name in applied] == ["contract"]
    header, _ = database.select_read_only(
        empty.connection, "select room_count from current_applications"
    )
    assert header == ["room_count"]
    (entry,) = audit.recent_entries(empty)
    assert (entry["action"], entry["done_by"]) == ("contract.change", "role:loan_scoring")
    assert entry["details"]["changed"] == applied


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"income_usd_per_month": None}, "has column income_usd_per_month, the contract does not"),
        (
            {"income_usd_per_month": {"type": "category", "open_levels": True, "range": None}},
            "income_usd_per_month is double precision, the contract says text",
        ),
        ({"loan_id": {"type": "text", "range": None}}, "the key is bigint in the database"),
    ],
)
def test_lost_or_retyped_column_is_refused(ready: Session, change: dict, message: str) -> None:
    raw = ready.contract.model_dump() | {"replay": {}}
    contract = changed(Contract.model_validate(raw), **change)
    with pytest.raises(DatabaseError, match=message) as caught:
        migrate_schema(ready.connection, contract)
    assert "keep the column in the contract as it is" in str(caught.value)
    assert "`loan-scoring portfolio reset loan_default`" in str(caught.value)


def test_applied_file_that_was_changed_is_refused(empty: Session) -> None:
    with database.transaction(empty.connection), empty.connection.cursor() as cursor:
        cursor.execute("update schema_migrations set sha256 = 'other' where name like '0001%'")
        cursor.execute("delete from schema_migrations where name like 'contract-%'")
    with pytest.raises(DatabaseError, match=r"0001_\w+\.sql was changed after it was applied"):
        migrate_schema(empty.connection, empty.contract)


def test_reader_reads_and_cannot_write(empty: Session, postgres: EmbeddedPostgres) -> None:
    name = empty.connection.get_dsn_parameters()["dbname"]
    url = postgres.url("loan_scoring_reader").rpartition("/")[0] + f"/{name}"
    reader = database.connect("loan_default", url)
    try:
        assert database.select_read_only(reader, "select * from current_scores")[1] == []
        for statement in (
            "insert into outcomes values (1, true, null, 'outcomes-x', 1)",
            "delete from scores",
            "create table loan_default.mine (x int)",
            "create table public.mine (x int)",
        ):
            with (
                pytest.raises(psycopg2.errors.InsufficientPrivilege),
                database.transaction(reader),
                reader.cursor() as cursor,
            ):
                cursor.execute(statement)
    finally:
        reader.close()


def test_application_role_is_no_superuser(empty: Session) -> None:
    _, rows = database.select_read_only(
        empty.connection,
        "select rolsuper, rolcreaterole, rolcreatedb from pg_roles where rolname = current_user",
    )
    assert rows == [[False, False, False]]


def test_promotions_are_append_only(ready: Session) -> None:
    with (
        pytest.raises(psycopg2.errors.RaiseException, match="promotions is append-only"),
        database.transaction(ready.connection),
        ready.connection.cursor() as cursor,
    ):
        cursor.execute("update promotions set decided_by = 'nobody'")


def test_every_connection_notices_that_its_server_is_gone(empty: Session, empty_url: str) -> None:
    """A real outage takes too long: the test looks at the parameters that libpq gets."""
    with closing(database.connect_beside(empty.connection)) as other:
        for connection in (empty.connection, other):
            assert ALIVE.items() <= connection.get_dsn_parameters().items()
        query = parse_qs(urlsplit(mlflow_url(empty.connection)).query)
        assert {name: query[name] for name in ALIVE} == {
            name: [value] for name, value in ALIVE.items()
        }
    url = f"{empty_url}?connect_timeout=7&tcp_user_timeout=0"
    for within, timeout in ((None, "7"), (3, "3")):
        with closing(database.connect("loan_default", url, within)) as connection:
            used = connection.get_dsn_parameters()
        assert (used["connect_timeout"], used["tcp_user_timeout"]) == (timeout, "0")
        assert used["keepalives_idle"] == "30"


def test_unreachable_database_is_reported_in_one_line_without_password() -> None:
    with pytest.raises(
        DatabaseError, match=r"no database at postgresql://me@127\.0\.0\.1:1/x"
    ) as caught:
        database.connect("loan_default", "postgresql://me:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@h/d?__extra__=%5B%22secret%22%5D",
        "postgresql://u:secret@h/d?__extra__=secret",
        "postgresql://u@h/d?__extra__=%7B%22passwort%22%3A%22secret%22%7D",
        "postgresql://u:secret@h:port/d",
        "postgresql://u:secret@h:99999/d",
    ],
)
def test_url_that_libpq_does_not_accept_is_reported_in_one_line(url: str) -> None:
    with pytest.raises(DatabaseError, match="database") as caught:
        database.connect("loan_default", url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_database_than_postgres_is_refused() -> None:
    with pytest.raises(DatabaseError, match="the database is mysql"):
        database.connect("loan_default", "mysql://me@127.0.0.1/x")


def test_no_code_names_a_column_of_a_portfolio() -> None:
    names = {
        name
        for portfolio in contracts.names()
        for column in contracts.load(portfolio).inputs
        for name in (column.name, column.source)
        if "_" in name
    }
    root = settings.home()
    files = [
        each for name in ("include", "dags", "plugins") for each in (root / name).rglob("*.py")
    ]
    files += (root / "sql").rglob("*.sql")
    found = [
        (path.name, name) for path in files for name in names if name in Path(path).read_text()
    ]
    assert found == []
