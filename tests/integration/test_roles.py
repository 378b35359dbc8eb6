"""Owner, application and reader can each do their own work and nothing more."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.errors import (
    CheckViolation,
    GeneratedAlways,
    InsufficientPrivilege,
    LockNotAvailable,
    ObjectNotInPrerequisiteState,
    WrongObjectType,
)
from rights import rights

from loan_scoring import database, settings
from loan_scoring.cli.main import main
from loan_scoring.database import audit, programs, roles
from loan_scoring.database.backup import write_backup
from loan_scoring.database.grants import (
    APPENDED,
    BY_OWNER,
    FUNCTIONS,
    INNER_FUNCTIONS,
    PLANNED,
    READ_FUNCTIONS,
    REPLACED,
    UPDATED,
    grants_step,
)
from loan_scoring.database.partitions import ensure_partition, partition_bounds
from loan_scoring.database.restore import restore_backup
from loan_scoring.database.session import Session, migrate_portfolio, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.local.postgres import EmbeddedPostgres
from loan_scoring.models.mlflow_mirror import mirror_models
from loan_scoring.models.promotion.decide import promote_by_gates, promote_by_hand
from loan_scoring.models.training.run import train
from loan_scoring.scoring.batch import plan_scoring, publish_scores
from loan_scoring.scoring.mini_batch import score_mini_batch

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
ONE = "loan_scoring_reader_loan_default"
PASSWORDS = {
    database.OWNER: "o" * 12,
    database.APPLICATION: "a" * 12,
    database.READER: "r" * 12,
    database.MLFLOW: "m" * 12,
    ONE: "p" * 12,
}


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server whose owner is another role than the application."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("state")).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOAN_SCORING_ADMIN_URL", server.url("postgres"))
        patch.setenv(f"{roles.READER_OF_ONE}LOAN_DEFAULT", PASSWORDS[ONE])
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


@pytest.mark.attack
def test_no_role_has_rights_over_the_server(application_url: str) -> None:
    rights = "rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
    found = ask(
        application_url,
        f"select rolname, {rights} from pg_roles where rolname like 'loan_scoring%'",
    )
    assert sorted(found) == [(role, *(False,) * 5) for role in sorted(PASSWORDS)]


@pytest.mark.attack
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


@pytest.mark.attack
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


@pytest.mark.attack
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


@pytest.mark.attack
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


@pytest.mark.attack
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
        if path.name.startswith(("erase_", "expire_")):
            continue  # the owner runs them
        text = path.read_text()
        for verb, tables in verbs.items():
            tables |= set(re.findall(rf"^\s*{verb} (\w+)", text, re.MULTILINE))
        if "DO UPDATE" in text:
            verbs["UPDATE"] |= set(re.findall(r"^\s*INSERT INTO (\w+)", text, re.MULTILINE))
    temporary = {"landed_lookup", "landed_outcomes"}
    of_retention = {"quarantine", "stream_messages"}
    assert verbs["UPDATE"] - set(BY_OWNER) == set(UPDATED)
    assert verbs["DELETE FROM"] - temporary - of_retention == set(REPLACED)
    added = {*APPENDED, *UPDATED, *REPLACED, *PLANNED}
    of_owner = {
        "backups", "desk_rules", "dropped_partitions", "erased_files", "erasures", "exports",
        "service_levels",
    }  # fmt: skip
    assert verbs["INSERT INTO"] - added == of_owner


@pytest.mark.attack
def test_every_table_and_function_has_a_decision(application_url: str) -> None:
    """Whoever adds one says in `grants` who may do what with it."""
    tables = ask(
        application_url,
        "select relname from pg_class where relnamespace = 'loan_default'::regnamespace"
        " and relkind in ('r', 'p') and not relispartition",
    )
    decided = [*APPENDED, *UPDATED, *REPLACED, *PLANNED, *BY_OWNER]
    assert sorted(name for (name,) in tables) == sorted(decided)
    functions = ask(
        application_url,
        "select proname, prosecdef, proconfig::text, proowner::regrole::text,"
        " prorettype = 'trigger'::regtype, has_function_privilege('public', oid, 'execute'),"
        " has_function_privilege('loan_scoring_app', oid, 'execute'),"
        " has_function_privilege('loan_scoring_reader', oid, 'execute')"
        " from pg_proc where pronamespace = 'loan_default'::regnamespace",
    )
    names = [*FUNCTIONS, *READ_FUNCTIONS, *INNER_FUNCTIONS]
    assert sorted(row[0] for row in functions) == sorted(names)
    for name, is_definer, path, owner, is_trigger, public, application, reader in functions:
        assert path == '{"search_path=loan_default, pg_temp"}', name
        assert owner == "loan_scoring", name
        assert not public, name
        assert application == (name in FUNCTIONS or name in READ_FUNCTIONS), name
        assert reader == (name in READ_FUNCTIONS), name
        assert is_definer == (name in FUNCTIONS or name in {"guard_scores", "guard_applications"})
        assert not is_trigger or name in INNER_FUNCTIONS


@pytest.mark.attack
def test_the_application_has_exactly_the_rights_that_are_decided(application_url: str) -> None:
    found = ask(
        application_url,
        "select relname, a.privilege_type from pg_class, aclexplode(relacl) as a"
        " where relnamespace = 'loan_default'::regnamespace and relkind in ('r', 'p')"
        " and not relispartition and a.grantee = 'loan_scoring_app'::regrole"
        " and a.privilege_type <> 'SELECT'",
    )
    wanted = {(name, "INSERT") for name in (*APPENDED, *UPDATED, *REPLACED)}
    wanted |= {(name, "UPDATE") for name in UPDATED} | {(name, "DELETE") for name in REPLACED}
    assert set(found) == wanted
    columns = ask(
        application_url,
        "select relname, attname, b.privilege_type from pg_class as c"
        " join pg_attribute as a on attrelid = c.oid cross join lateral aclexplode(attacl) as b"
        " where relnamespace = 'loan_default'::regnamespace",
    )
    assert set(columns) == {(table, each, "INSERT") for table in PLANNED for each in PLANNED[table]}


RUN = "(select scoring_run_id from scoring_runs where is_current)"
LOAN = "(select min(loan_id) from scores)"


@pytest.mark.attack
@pytest.mark.parametrize(
    "statement",
    [
        "insert into approvals (loan_id, decided_at, decision, comment, decided_by, batch_id,"
        " scoring_run_id, suggestion, default_probability) select loan_id, '2099-01-01', 'approve',"
        " 'x', 'airflow:eve', batch_id, scoring_run_id, 'review', 0.1 from current_scores limit 1",
        "insert into promotions (kind, model_version, verdict, evidence, decided_by)"
        " values ('propensity', 'propensity-1', 'promoted', '{}', 'airflow:eve')",
        "insert into publications (batch_id, scoring_run_id, occasion, published_by)"
        f" values ('{NIGHT}', {RUN}, 'command', 'airflow:eve')",
        "insert into model_signatures (model_version, signed_as, signed_by, comment,"
        " artifact_sha256, personas_sha256) values ('propensity-1', 'review', 'cli:eve', 'x',"
        " '', '')",
        "insert into audit_log (done_by, action, subject, details)"
        " values ('airflow:ann', 'promotion.promoted', 'propensity-9', '{}')",
        "insert into scores select (jsonb_populate_record(s, '{\"loan_id\": 1}')).*"
        " from current_scores as c join scores as s using (batch_id, scoring_run_id, loan_id)"
        " limit 1",
        "insert into scores_2026_01 select (jsonb_populate_record(s, '{\"loan_id\": 1}')).*"
        " from scores_2026_01 as s limit 1",
        "insert into scores select (jsonb_populate_record(s,"
        ' \'{"scoring_run_id": "nobody planned it"}\')).* from scores as s limit 1',
        "insert into applications select (jsonb_populate_record(s, '{\"loan_id\": 1}')).*"
        f" from applications as s where batch_id = '{NIGHT}' limit 1",
        "insert into applications_2026_01 select (jsonb_populate_record(s, '{\"loan_id\": 1}')).*"
        " from applications_2026_01 as s limit 1",
        "update scoring_runs set policy = '{}'",
        "update scoring_runs set is_current = false",
        "insert into scoring_runs select (jsonb_populate_record(r,"
        ' \'{"scoring_run_id": "mine", "is_current": false}\')).* from scoring_runs as r',
        f"delete from applications where batch_id = '{NIGHT}'",
        "delete from quarantine",
        "update batches set accepted = 0, received = quarantined",
        "update batches set is_current = false",
        "update batches set withdrawn_at = now(), withdrawn_by = 'airflow:ann',"
        " withdrawal_comment = 'x', is_current = false",
        "insert into batches (batch_id, revision, source, sha256, state, is_current, received,"
        " accepted, quarantined) values ('2026-01-30', 1, 'x', 'x', 'published', true, 0, 0, 0)",
        "select hide_scores('2026-01-05', 'withdrawal', 'airflow:ann')",
        "select seal_records('airflow:ann')",
        "select record_audit_entry('airflow:ann', 'promotion.promoted', 'propensity-9', '{}')",
        "select record_audit_entry('role:loan_scoring', 'alert.close', 'alert 1', '{}')",
        f"select publish_run({RUN}, 'role:loan_scoring', true)",
        "select nextval('approvals_approval_id_seq')",
        "select setval('publications_publication_id_seq', 1)",
    ],
)
def test_the_application_forges_nothing(
    application_url: str, apart: EmbeddedPostgres, statement: str
) -> None:
    with pytest.raises(InsufficientPrivilege):
        ask(application_url, statement)
    with pytest.raises(InsufficientPrivilege):
        ask(url_of(apart, database.READER), statement)


@pytest.mark.attack
def test_what_functions_refuse_changes_nothing(application_url: str) -> None:
    """The functions check what they are asked for; rows and time are those of the database."""
    approved = ask(application_url, "select min(loan_id) from scores where decision = 'approve'")
    for statement in (
        f"select record_approval({approved[0][0]}, 'decline', 'x', 'airflow:eve', {RUN})",
        f"select record_approval({LOAN}, 'decline', 'x', 'airflow:eve', 'another run')",
        "select record_approval(-1, 'decline', 'x', 'airflow:eve', 'another run')",
        'select record_verdicts(\'[{"model_version": "propensity-1", "evidence":'
        " {\"gates\": [{\"passed\": false}]}}]', 'promoted', 'policy:auto', 'training',"
        " null, '', '{}')",
        'select record_verdicts(\'[{"model_version": "none", "evidence": {}}]\', \'promoted\','
        " 'airflow:eve', 'command', null, '', '{}')",
        f"select publish_batch('{NIGHT}', 1, 'airflow:eve')",
        "select withdraw_batch('2026-02-02', 'x', 'airflow:eve')",
        f"select restore_batch('{NIGHT}', 1, 'x', 'airflow:eve')",
        "select record_signature('propensity-1', 'propensity-1', 'review', 'cli:eve', 'x')",
    ):
        with pytest.raises(CheckViolation):
            ask(application_url, statement)
    # These ask for nothing that is not so already.
    ask(application_url, f"select refuse_batch('{NIGHT}', 1), delete_landed_rows('{NIGHT}', 1)")
    ask(application_url, f"select delete_known_applications('{NIGHT}', 1)")
    ((rows, state),) = ask(
        application_url,
        "select (select count(*) from applications where batch_id = '2026-01-05'),"
        " (select state from batches where batch_id = '2026-01-05')",
    )
    assert (rows, state) == (1000, "published")


@pytest.mark.attack
def test_a_temporary_audit_log_of_the_caller_is_not_used(
    application_url: str, apart: EmbeddedPostgres
) -> None:
    """Before, its huge number made every later entry of that session, and the chain, fail."""
    with open_session("loan_default", application_url) as session:
        before = audit.verify_chain(session).entries
        with database.transaction(session.connection), session.connection.cursor() as cursor:
            cursor.execute("create temporary table audit_log (like loan_default.audit_log)")
            cursor.execute(
                "insert into pg_temp.audit_log values (9223372036854775806, now(), 'x', 'x', 'x',"
                " '{}', 'x', 'x', 'x')"
            )
            cursor.execute(
                "create function pg_temp.audit_hash(pg_temp.audit_log) returns text"
                " language sql as $$ select 'forged' $$"
            )
        with database.transaction(session.connection):
            number = audit.record_entry(session, "cli:tests", "test.run", "temporary", {})
    assert number == before + 1
    with open_session("loan_default", url_of(apart, database.OWNER)) as session:
        assert audit.verify_chain(session).sentences == []
        (entry,) = audit.recent_entries(session, limit=1)
    assert entry["database_role"] == "loan_scoring_app"


@pytest.mark.attack
def test_a_publication_waits_for_whoever_writes_scores_of_the_run(
    application_url: str, drops: Replay
) -> None:
    """A score that is written while its run is published would stand in a published run."""
    night = drops.batch_ids[1]
    source = str(drops.application_files[night])
    assert (
        main(["ingest", "--batch", night, "--source", source, "--database", application_url]) == 0
    )
    with open_session("loan_default", application_url) as session:
        planned = plan_scoring(session, night)
        for each in planned.mini_batches:
            score_mini_batch(session, planned.scoring_run_id, each)
        with closing(database.connect_beside(session.connection)) as other:
            with other.cursor() as cursor:
                cursor.execute(
                    "insert into scores select (jsonb_populate_record(s, '{\"loan_id\": -1}')).*"
                    " from scores as s where scoring_run_id = %s limit 1",
                    (planned.scoring_run_id,),
                )
            with database.transaction(session.connection):
                with session.connection.cursor() as cursor:
                    cursor.execute("set local lock_timeout = '200ms'")
                with pytest.raises(LockNotAvailable):
                    database.row(
                        session.connection, "publish_run", published_by="cli:tests",
                        scoring_run_id=planned.scoring_run_id, is_asked_for=False,
                    )  # fmt: skip
                session.connection.rollback()
            other.rollback()
        assert publish_scores(session, planned.scoring_run_id, "cli:tests") == planned.applications


@pytest.mark.attack
def test_records_that_differ_from_the_audit_log_show(
    application_url: str, apart: EmbeddedPostgres, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who owns the tables can change them; the entries of the log stay as they were."""
    owner = url_of(apart, database.OWNER)
    ((loan, run),) = ask(
        application_url,
        "select loan_id, scoring_run_id from current_scores where decision = 'review' limit 1",
    )
    ask(
        application_url,
        f"select record_approval({loan}, 'decline', 'too little', 'airflow:ann', '{run}')",
    )
    assert main(["audit", "--database", application_url]) == 0
    for table, forged, fault in (
        ("approvals", "update approvals set decision = 'approve'", "approval 1: it differs"),
        ("approvals", "delete from approvals", "approval 1: it is missing"),
        (
            "approvals",
            "insert into approvals (loan_id, decision, comment, decided_by, batch_id,"
            " scoring_run_id, suggestion, default_probability) select loan_id, 'approve', 'x',"
            " 'airflow:ann', batch_id, scoring_run_id, suggestion, default_probability"
            " from approvals limit 1",
            "approval 2: no entry records it",
        ),
        ("promotions", "update promotions set decided_by = 'cli:bob'", "promotion 1: it differs"),
        (
            "publications",
            "insert into publications (batch_id, occasion, published_by)"
            f" values ('{NIGHT}', 'revision', 'cli:bob')",
            "and readers see",
        ),
    ):
        with closing(database.connect("loan_default", owner)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(f"alter table {table} disable trigger user; {forged}")
            found = database.rows(connection, "select_record_faults")
            connection.rollback()
        assert any(fault in f"{row['kind']} {row['record_id']}: {row['fault']}" for row in found)
    capsys.readouterr()
    assert main(["audit", "--database", application_url]) == 0


@pytest.mark.attack
def test_a_later_decision_counts_whatever_the_clock_said(
    application_url: str, apart: EmbeddedPostgres
) -> None:
    """A clock that was ahead for one decision does not hide the later ones."""
    ((loan, run),) = ask(
        application_url,
        "select loan_id, scoring_run_id from current_scores where decision = 'review'"
        " order by loan_id desc limit 1",
    )
    with closing(database.connect("loan_default", url_of(apart, database.OWNER))) as connection:
        with connection.cursor() as cursor:
            cursor.execute(
                f"select record_approval({loan}, 'approve', 'x', 'airflow:ann', '{run}')"
            )
            cursor.execute("alter table approvals disable trigger user")
            cursor.execute(
                "update approvals set decided_at = '2099-01-01' where loan_id = %s", (loan,)
            )
            cursor.execute(
                f"select record_approval({loan}, 'decline', 'x', 'airflow:bob', '{run}')"
            )
            for view in ("decisions_in_effect", "reviews"):
                cursor.execute(f"select decision from {view} where loan_id = %s", (loan,))
                assert cursor.fetchall() == [("decline",)]
        last = database.row(connection, "select_last_approval", loan_id=loan)
        assert last is not None
        assert last["decision"] == "decline"
        connection.rollback()


@pytest.mark.attack
def test_head_of_the_chain_is_anchored_outside(
    application_url: str, apart: EmbeddedPostgres, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The owner can write the whole chain anew. A head that stands elsewhere shows it."""
    anchor, owner = tmp_path / "anchor", url_of(apart, database.OWNER)
    command = ["audit", "--database", application_url]
    ask(application_url, "select record_audit_entry('cli:tests', 'test.run', 'the last', '{}')")
    assert main([*command, "--anchor", str(anchor)]) == 0
    assert main([*command, "--anchor", str(anchor)]) == 0
    (line,) = anchor.read_text().splitlines()
    head = line.split()[-1]
    assert main([*command, "--expect", head]) == 0
    with closing(database.connect("loan_default", owner)) as connection:
        with database.transaction(connection), connection.cursor() as cursor:
            cursor.execute("alter table audit_log disable trigger user")
            cursor.execute(
                "create temporary table taken as select * from audit_log"
                " where entry_id = (select max(entry_id) from audit_log)"
            )
            cursor.execute("delete from audit_log where entry_id = (select entry_id from taken)")
            cursor.execute("alter table audit_log enable trigger user")
        try:
            capsys.readouterr()
            assert main([*command, "--expect", head]) == 1
            assert main([*command, "--anchor", str(anchor)]) == 1
            told = capsys.readouterr().err.splitlines()
            assert all(f"has no entry with the hash {head}" in each for each in told)
            assert len(told) == 2
        finally:
            with database.transaction(connection), connection.cursor() as cursor:
                cursor.execute("alter table audit_log disable trigger user")
                cursor.execute("insert into audit_log table taken")
                cursor.execute("alter table audit_log enable trigger user")
    assert len(anchor.read_text().splitlines()) == 1


@pytest.mark.attack
@pytest.mark.parametrize(
    "statement",
    [
        "select pg_advisory_lock(1)",
        "select pg_try_advisory_lock_shared(1, 2)",
        "select pg_advisory_xact_lock(hashtextextended('loan_default:promotions', 0))",
        "select lo_creat(-1)",
        "select lo_from_bytea(0, 'x')",
        "set temp_file_limit = -1",
    ],
)
def test_the_reader_stops_no_stage_and_fills_no_disk(
    apart: EmbeddedPostgres, statement: str
) -> None:
    with pytest.raises(InsufficientPrivilege):
        ask(url_of(apart, database.READER), statement)


@pytest.mark.attack
def test_readers_have_limits(apart: EmbeddedPostgres) -> None:
    with (
        closing(psycopg2.connect(url_of(apart, database.READER))) as connection,
        connection.cursor() as cursor,
    ):
        for name, value in roles.READER_LIMITS.items():
            cursor.execute(f"show {name}")
            assert cursor.fetchone() == (value,)
        cursor.execute("select rolname, rolconnlimit from pg_roles where rolname ~ 'reader'")
        assert set(cursor.fetchall()) == {("loan_scoring_reader", 40), (ONE, 10)}


@pytest.mark.attack
def test_a_reader_of_one_portfolio_reads_that_one(
    apart: EmbeddedPostgres, application_url: str
) -> None:
    url = url_of(apart, ONE)
    assert ask(url, "select count(*) from batches") != [(0,)]
    with pytest.raises(InsufficientPrivilege):
        ask(url, "select * from credit_data.batches")
    with pytest.raises(InsufficientPrivilege):
        ask(url, "delete from batches")
    assert ask(url_of(apart, database.READER), "select count(*) from credit_data.batches")


@pytest.mark.attack
def test_sql_runs_one_statement_as_the_reader(
    apart: EmbeddedPostgres, application_url: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("LOAN_SCORING_READER_URL", url_of(apart, database.READER))
    monkeypatch.setenv("LOAN_SCORING_DATABASE_URL", url_of(apart, database.OWNER))
    capsys.readouterr()
    assert main(["sql", "-c", "select current_user as who"]) == 0
    assert capsys.readouterr().out == "who\nloan_scoring_reader\n"
    for database_option in ([], ["--database", url_of(apart, database.OWNER)]):
        for text in (
            "commit; delete from task_metrics",
            "select 1; commit; delete from task_metrics",
            "delete from task_metrics returning *",
            "rollback",
            "select set_config('transaction_read_only', 'off', false)",
        ):
            assert main(["sql", "-c", text, *database_option]) == 1
            assert capsys.readouterr().err.count("\n") == 1
    assert ask(application_url, "select count(*) from task_metrics") != [(0,)]


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


def test_a_restore_gives_each_role_what_it_had_and_no_argument_has_a_password(
    apart: EmbeddedPostgres,
    application_url: str,
    tmp_path: Path,
    drops: Replay,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner = url_of(apart, database.OWNER)
    before = rights(owner)
    assert ("scores", "loan_scoring_app", "INSERT") in before
    started: list[list[str]] = []

    class Recorded(subprocess.Popen):
        def __init__(self, command: list[str], **options: Any) -> None:
            started.append(command)
            super().__init__(command, **options)

    monkeypatch.setattr(programs.subprocess, "Popen", Recorded)
    write_backup(tmp_path / "backup", owner)
    restore_backup(tmp_path / "backup", owner, replace=True)
    assert {Path(command[0]).name for command in started} == {"pg_dump", "pg_restore", "psql"}
    assert not [each for each in started if PASSWORDS[database.OWNER] in " ".join(each)]
    assert rights(owner) == before
    mlflow = url_of(apart, database.MLFLOW)
    assert ask(mlflow, "select count(*) > 0 from mlflow.runs") == [(True,)]
    for attack in (
        "delete from mlflow.runs",
        "create table mlflow.mine (x int)",
        "select * from loan_default.applications",
        "select lo_create(0)",
        "select pg_advisory_lock(1)",
    ):
        with pytest.raises(InsufficientPrivilege):
            ask(mlflow, attack)
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
    today = ["--today", "2026-11-01"]
    assert main(["retention", "--keep-days", "1", *today, "--database", application_url]) == 1
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
