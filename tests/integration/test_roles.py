"""Owner, application and reader can each do their own work and nothing more."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from psycopg2.errors import (
    GeneratedAlways,
    InsufficientPrivilege,
    ObjectNotInPrerequisiteState,
    WrongObjectType,
)
from rights import rights

from loan_scoring import database, settings
from loan_scoring.cli.main import main
from loan_scoring.database import audit, roles
from loan_scoring.database.backup import write_backup
from loan_scoring.database.grants import APPENDED, REPLACED, UPDATED, grants_step
from loan_scoring.database.partitions import ensure_partition, partition_bounds
from loan_scoring.database.restore import restore_backup
from loan_scoring.database.session import Session, migrate_portfolio, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.local.postgres import EmbeddedPostgres
from loan_scoring.models.mlflow_mirror import mirror_models
from loan_scoring.models.promotion.decide import promote_by_gates, promote_by_hand
from loan_scoring.models.training.run import train

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
PASSWORDS = {database.OWNER: "o" * 12, database.APPLICATION: "a" * 12, database.READER: "r" * 12}


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server whose owner is another role than the application."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("state")).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOAN_SCORING_ADMIN_URL", server.url("postgres"))
        for role, variable in roles.PASSWORDS.items():
            patch.setenv(variable, PASSWORDS.get(role, ""))
        assert main(["roles"]) == 0
        assert main(["roles"]) == 0  # a second run changes nothing
    yield server
    server.stop()


def url_of(server: EmbeddedPostgres, role: str) -> str:
    place = server.url("postgres").rpartition("@")[2].replace("/postgres", "/loan_scoring")
    return f"postgresql://{role}:{PASSWORDS[role]}@{place}"


def owner_of(session: Session, server: EmbeddedPostgres) -> str:
    name = session.connection.get_dsn_parameters()["dbname"]
    return server.url(database.OWNER).rpartition("/")[0] + f"/{name}"


@pytest.fixture(scope="module")
def application_url(apart: EmbeddedPostgres, drops: Replay) -> str:
    """The application's URL after a night that ran in that role; the owner migrated."""
    url = url_of(apart, database.APPLICATION)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOAN_SCORING_OWNER_URL", url_of(apart, database.OWNER))
        assert main(["migrate"]) == 0
    with open_session("loan_default", url) as session:
        ingest_batch(session, "history", drops.application_files["history"])
        versions, _ = train(session)
        if promote_by_gates(session, versions) == "refused":
            promote_by_hand(session, versions["propensity"], "cli:tests", "a sample")
        mirror_models(session)
        audit.record_entry(session, "cli:tests", "test.run", "roles", {})
    for arguments in (
        ["ingest", "--batch", NIGHT, "--source", str(drops.application_files[NIGHT])],
        ["ingest", "--batch", NIGHT, "--source", str(drops.application_files[NIGHT])],
        ["score", "--batch", NIGHT],
        ["metrics", "--batch", NIGHT],
        ["metrics", "--batch", NIGHT],
        ["outcomes", "--source", str(drops.outcome_files[0])],
    ):
        assert main([*arguments, "--database", url]) == 0
    return url


def ask(url: str, statement: str) -> list[tuple]:
    with (
        closing(database.connect("loan_default", url)) as connection,
        database.transaction(connection),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


RELATIONS = """
    select c.relname, c.relkind, min(a.attname)
    from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
    where relnamespace = 'loan_default'::regnamespace and relkind in ('r', 'p', 'v')
      and attidentity = ''
    group by c.oid order by 1
"""
WRITES = (
    "insert into {} default values",
    "update {0} set {1} = {1}",
    "delete from {}",
    "truncate {}",
    "alter table {} rename to other",
    "drop table {}",
    "lock table {} in exclusive mode",
)


def test_every_stage_runs_as_the_application(application_url: str) -> None:
    ((scored, runs),) = ask(
        application_url,
        "select (select count(*) from current_scores), (select count(*) from task_metrics)",
    )
    assert scored == 1000
    assert runs == 6


def test_no_role_has_rights_over_the_server(application_url: str) -> None:
    rights = "rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
    found = ask(
        application_url,
        f"select rolname, {rights} from pg_roles where rolname like 'loan_scoring%'",
    )
    assert sorted(found) == [(role, *(False,) * 5) for role in sorted(PASSWORDS)]


def test_the_reader_can_write_nowhere(apart: EmbeddedPostgres, application_url: str) -> None:
    reader = url_of(apart, database.READER)
    relations = ask(application_url, RELATIONS)
    assert len(relations) > 30
    allowed = ask(
        reader,
        "select relname from pg_class where relnamespace = 'loan_default'::regnamespace"
        " and relkind in ('r', 'p', 'v') and has_table_privilege(oid,"
        " 'insert, update, delete, truncate, references, trigger, maintain')",
    )
    for name, kind, column in relations:
        assert ask(reader, f"select count(*) from {name}")
        refusals: tuple[type[psycopg2.Error], ...] = (InsufficientPrivilege,)
        if kind == "v":  # Postgres reports what no view can do before it checks rights
            refusals += (WrongObjectType, ObjectNotInPrerequisiteState, GeneratedAlways)
        for write in WRITES:
            try:
                ask(reader, write.format(name, column))
            except refusals:
                continue
            allowed.append(write.format(name, column))
    assert allowed == []


def test_the_reader_makes_nothing_and_calls_nothing_that_writes(
    apart: EmbeddedPostgres, application_url: str
) -> None:
    reader = url_of(apart, database.READER)
    for statement in (
        "select create_partition('scores', '2031-01-05')",
        "create table mine (x int)",
        "create temporary table mine (x int)",
        "create view mine as select 1",
        "create schema mine",
        "select * from mlflow.experiments",
        "set role loan_scoring_app",
    ):
        with pytest.raises(InsufficientPrivilege):
            ask(reader, statement)
    callable_by_reader = ask(
        reader,
        "select proname from pg_proc where pronamespace = 'loan_default'::regnamespace"
        " and prorettype <> 'trigger'::regtype and has_function_privilege(oid, 'execute')",
    )
    # One computes a hash, the other reads. Neither writes.
    assert sorted(callable_by_reader) == [("audit_hash",), ("outcomes_as_of",)]


@pytest.mark.parametrize("table", ["audit_log", "approvals", "promotions", "scores", "models",
                                   "outcome_revisions", "outcome_changes",
                                   "outcome_changes_by_batch", "calls",
                                   "dropped_partitions"])  # fmt: skip
def test_the_application_changes_no_row_of_an_append_only_table(
    application_url: str, table: str
) -> None:
    columns = {name: column for name, _, column in ask(application_url, RELATIONS)}
    named = columns[table]
    for statement in (
        f"update {table} set {named} = {named}",
        f"delete from {table}",
        f"truncate {table}",
        f"alter table {table} disable trigger all",
    ):
        with pytest.raises(InsufficientPrivilege):
            ask(application_url, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "drop table scores_2026_01",
        "drop table quality",
        "drop view current_scores",
        "drop schema loan_default cascade",
        "alter table scores detach partition scores_2026_01",
        "alter table batches add column x int",
        "create table mine (x int)",
        "create table public.mine (x int)",
        "create schema mine",
        "update scores_2026_01 set decision = 'approve'",
        "delete from scores_2026_01",
        "insert into dropped_partitions values ('x', 'scores', '2026-01-01', 0, 0, 0, 1, 'me')",
        "update service_levels set nights_on_time = 0",
        "delete from schema_migrations",
        "create or replace function refuse_change() returns trigger language plpgsql"
        " as 'begin return null; end'",
        "set session_replication_role = replica",
        "set role loan_scoring",
    ],
)
def test_the_application_changes_no_structure(application_url: str, statement: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        ask(application_url, statement)


def test_the_application_makes_the_partition_of_a_month_and_no_other_table(
    application_url: str, apart: EmbeddedPostgres
) -> None:
    with open_session("loan_default", application_url) as session:
        for table in ("applications", "scores", "calls"):
            for batch_id in ("2030-12-31", "2031-01-01"):
                ensure_partition(session.connection, table, batch_id)
                ensure_partition(session.connection, table, batch_id)
    bounds = dict(
        ask(
            application_url,
            "select relname, pg_get_expr(relpartbound, oid) from pg_class"
            " where relispartition and relname ~ '203'"
            " and relnamespace = 'loan_default'::regnamespace and relkind = 'r'",
        )
    )
    assert bounds == {
        name: f"FOR VALUES FROM ('{low}') TO ('{high}')"
        for table in ("applications", "scores", "calls")
        for name, low, high in (
            partition_bounds(table, "2030-12-31"), partition_bounds(table, "2031-01-01"),
        )
    }  # fmt: skip
    owners = ask(
        application_url,
        "select distinct tableowner from pg_tables where schemaname = 'loan_default'",
    )
    assert owners == [("loan_scoring",)]
    assert ask(url_of(apart, database.READER), "select count(*) from scores_2031_01") == [(0,)]
    for statement in (
        "select create_partition('quality', '2026-01-05')",
        "select create_partition('scores', 'x''; drop table scores; --')",
    ):
        with pytest.raises(psycopg2.Error, match=r"no monthly partitions|invalid input syntax"):
            ask(application_url, statement)


def test_a_temporary_table_of_the_caller_does_not_replace_ours(application_url: str) -> None:
    with closing(database.connect("loan_default", application_url)) as connection:
        with database.transaction(connection), connection.cursor() as cursor:
            cursor.execute("create temporary table scores (batch_id text) partition by range"
                           " (batch_id)")  # fmt: skip
            cursor.execute("create temporary table pg_class (relname text, relnamespace oid)")
        ensure_partition(connection, "scores", "2032-01-01")
    assert ask(application_url, "select count(*) from scores_2032_01") == [(0,)]


def test_every_statement_of_the_stages_is_granted() -> None:
    """The grants are exactly what the statements in sql/queries need."""
    verbs = {"UPDATE": set(), "DELETE FROM": set(), "INSERT INTO": set()}
    for path in (settings.home() / "sql/queries").glob("*.sql"):
        text = path.read_text()
        for verb, tables in verbs.items():
            tables |= set(re.findall(rf"^\s*{verb} (\w+)", text, re.MULTILINE))
        if "DO UPDATE" in text:
            verbs["UPDATE"] |= set(re.findall(r"^\s*INSERT INTO (\w+)", text, re.MULTILINE))
    temporary = {"landed_lookup", "landed_outcomes"}
    assert verbs["UPDATE"] - {"service_levels"} == set(UPDATED)
    assert verbs["DELETE FROM"] - temporary == set(REPLACED)
    added = {*APPENDED, *UPDATED, *REPLACED}
    assert verbs["INSERT INTO"] - added == {"service_levels", "dropped_partitions"}


def test_an_application_that_may_not_migrate_names_the_owners_variable(
    apart: EmbeddedPostgres, application_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--portfolio", "credit_data", "--database", application_url]) == 0
    owner = url_of(apart, database.OWNER)
    ask(owner, "delete from schema_migrations where name like 'contract-%'")
    try:
        capsys.readouterr()
        assert main(["status", "--database", application_url]) == 1
        refused, _, state = capsys.readouterr().out.partition("\n")
        assert "REFUSED" in refused
        assert "LOAN_SCORING_OWNER_URL" in refused
        assert "portfolio loan_default" in state
    finally:
        with open_session("loan_default", owner):
            pass


def test_a_role_that_comes_later_is_granted_when_the_owner_migrates(
    empty: Session, postgres: EmbeddedPostgres
) -> None:
    before = grants_step(empty.connection)
    with closing(psycopg2.connect(postgres.url("postgres"))) as server:
        server.autocommit = True
        with server.cursor() as cursor:
            cursor.execute("create role loan_scoring_app login")
            try:
                assert grants_step(empty.connection) != before
                empty.connection.rollback()
                migrate_portfolio("loan_default", owner_of(empty, postgres))
                granted = database.select_read_only(
                    empty.connection,
                    "select has_table_privilege('loan_scoring_app', 'batches', 'update')",
                )[1]
                assert granted == [[True]]
            finally:
                name = empty.connection.info.dbname
                at = postgres.url("postgres").rpartition("/")[0] + f"/{name}"
                with closing(psycopg2.connect(at)) as own, own.cursor() as cleaning:
                    cleaning.execute("drop owned by loan_scoring_app")
                    own.commit()
                cursor.execute("drop role loan_scoring_app")


def test_a_restore_gives_each_role_what_it_had(
    apart: EmbeddedPostgres, application_url: str, tmp_path: Path, drops: Replay
) -> None:
    owner = url_of(apart, database.OWNER)
    before = rights(owner)
    assert ("scores", "loan_scoring_app", "INSERT") in before
    write_backup(tmp_path / "backup", owner)
    restore_backup(tmp_path / "backup", owner, replace=True)
    assert rights(owner) == before
    owners = ask(owner, "select distinct schemaname, tableowner from pg_tables"
                        " where schemaname in ('loan_default', 'mlflow') order by 1")  # fmt: skip
    assert owners == [("loan_default", "loan_scoring"), ("mlflow", "loan_scoring_app")]
    night = drops.batch_ids[1]
    for arguments in (
        ["ingest", "--batch", night, "--source", str(drops.application_files[night])],
        ["score", "--batch", night],
    ):
        assert main([*arguments, "--database", application_url]) == 0


def test_retention_as_the_application_names_the_owners_variable(
    application_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(application_url, "update alerts set state = 'resolved'")  # an open alert keeps its month
    capsys.readouterr()
    assert main(["retention", "--keep-days", "1", "--database", application_url]) == 1
    err = capsys.readouterr().err
    assert "does not own scores_2026_01; set LOAN_SCORING_OWNER_URL" in err
    assert err.count("\n") == 1


def test_roles_names_missing_variables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("LOAN_SCORING_ADMIN_URL", *roles.PASSWORDS.values()):
        monkeypatch.delenv(name, raising=False)
    assert main(["roles"]) == 1
    assert capsys.readouterr().err == (
        "loan-scoring: set LOAN_SCORING_ADMIN_URL, LOAN_SCORING_OWNER_PASSWORD, "
        "LOAN_SCORING_APP_PASSWORD, LOAN_SCORING_READER_PASSWORD in the environment: "
        "`roles` needs them\n"
    )
