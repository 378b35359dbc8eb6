"""The command line: one line and exit 1 for what a user can cause, 2 for usage."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg2
import pytest

from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.cli.upkeep import _steps
from loan_scoring.local.postgres import EmbeddedPostgres

# Some commands start the server of the state folder, which must be the one of this worker.
pytestmark = pytest.mark.usefixtures("postgres")
ODD = "p@ss:/?#% +"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = main(arguments)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("ingest",),
        ("ingest", "--batch", "yesterday"),
        ("ingest", "--batch", "2026-02-30"),
        ("ingest", "--batch", "2026-1-5", "--source", "night.csv"),
        ("ingest", "--batch", "20260105"),
        ("metrics", "--batch", "\u0662026-01-05"),
        ("train", "--promote", "maybe"),
    ],
)
def test_usage_exits_with_2(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "usage: loan-scoring" in err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("status", "--portfolio", "mortgages"), "no contract"),
        (("status", "--database", "postgresql://u@127.0.0.1:1/x"), "no database at"),
        (("status", "--database", "nonsense"), "the database URL is not valid"),
        (("replay", "--scenario", "flood@1"), "flood"),
        (("replay", "--source", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_1(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], line: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("loan-scoring: ")
    assert line in err
    assert err.count("\n") == 1


@pytest.mark.integration
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("loan", "99999999999999999999"), "'99999999999999999999' is not a loan_id of"),
        (("loan", "\u0661\u0662"), "'\u0661\u0662' is not a loan_id of loan_default"),
        (("loan", "12"), "no published score of loan 12 in loan_default"),
        (("retention", "--keep-days", "1000000"), "--keep-days 1000000: use 1 to 36500 days"),
    ],
)
def test_an_impossible_number_is_one_line(
    capsys: pytest.CaptureFixture[str], empty_url: str, arguments: tuple[str, ...], line: str
) -> None:
    test_a_users_mistake_is_one_line_and_exit_1(
        capsys, (*arguments, "--json", "--database", empty_url), line
    )


@pytest.mark.integration
def test_every_stage_runs_without_airflow(
    capsys: pytest.CaptureFixture[str], ready_url: str, drops, tmp_path: Path
) -> None:
    def ok(*arguments: str) -> str:
        code, out, err = run(capsys, *arguments, "--database", ready_url)
        assert code == 0, err
        return out

    night = drops.application_files["2026-01-05"]
    assert "1000 received, 1000 accepted" in ok("ingest", "--batch", "2026-01-05")
    again = ok("ingest", "--batch", "2026-01-05", "--source", str(night))
    assert "the same bytes: nothing changed" in again
    assert "1000 accepted" in ok("outcomes", "--source", str(drops.outcome_files[0]))
    assert json.loads(ok("score", "--batch", "2026-01-05", "--json"))["applications"] == 1000
    assert "0 causes of alert" in ok("metrics", "--batch", "2026-01-05")
    text = ok("train", "--promote", "hold")
    judged = json.loads(ok("train", "--promote", "hold", "--json"))  # nothing new: judged again
    failed = [gate["sentence"] for gate in judged["gates"] if not gate["passed"]]
    # Real loans: a thousand more give no model that is better by more than noise. Generated ones
    # are logistic by construction; with a thousand more that candidate wins, and is better.
    assert judged["verdict"] == ("refused" if failed else "held")
    assert f"\n\npropensity-2, personas-2: {judged['verdict']}" in text
    assert all(sentence in text for sentence in failed)
    command = "loan-scoring models promote propensity-2 --portfolio loan_default"
    assert text.endswith(f"type: {command}{' --comment REASON' if failed else ''}\n")
    better = next(gate for gate in judged["gates"] if gate["gate"] == "better")
    assert better["figures"]["champion_auc"] > 0.7
    state = json.loads(ok("status", "--json"))
    assert [batch["batch_id"] for batch in state["batches"]] == ["2026-01-05", "history"]
    assert state["champions"]["propensity"]["model_version"] == "propensity-1"
    assert "password" not in json.dumps(state)
    rows = list(
        csv.reader(io.StringIO(ok("sql", "-c", "select count(*) as n from current_scores")))
    )
    assert rows == [["n"], ["1000"]]


@pytest.mark.integration
def test_sql_cannot_write(capsys: pytest.CaptureFixture[str], ready_url: str) -> None:
    code, _, err = run(capsys, "sql", "-c", "delete from outcomes", "--database", ready_url)
    assert code == 1
    assert err == (
        "loan-scoring: Postgres: cannot open DELETE query as cursor; "
        "give one statement that returns rows, such as a SELECT\n"
    )


@pytest.fixture
def odd_url(postgres: EmbeddedPostgres, empty_url: str) -> Iterator[str]:
    """Yield the URL of a role whose password needs quoting, with the host in the query."""
    place = urlsplit(empty_url)
    name = place.path.lstrip("/")
    with closing(psycopg2.connect(postgres.url("postgres"))) as server:
        server.autocommit = True
        cursor = server.cursor()
        cursor.execute("create role odd login password %s", (ODD,))
        cursor.execute(f"grant connect on database {name} to odd")
        yield (
            f"postgresql://odd:{quote(ODD, safe='')}@/{name}"
            f"?host={place.hostname}&port={place.port}&sslmode=disable"
        )
        cursor.execute(f"revoke connect on database {name} from odd; drop role odd")


def psql(query: str, *arguments: str) -> str:
    """Return what psql prints of a query, opened by `loan-scoring sql`."""
    command = [sys.executable, "-m", "loan_scoring.cli", "sql", *arguments]
    done = subprocess.run(command, input=query, capture_output=True, text=True)
    return done.stdout + done.stderr


WHO = "select current_user || ' ' || current_database() || ' ' || current_schemas(true)::text;"


@pytest.mark.integration
def test_psql_opens_the_database_of_any_url_and_reads(odd_url: str) -> None:
    name = urlsplit(odd_url).path.lstrip("/")
    assert f"odd {name} {{pg_catalog}}" in psql(WHO, "--database", odd_url)
    refused = psql("create temporary table t ();", "--database", odd_url)
    assert "cannot execute CREATE TABLE in a read-only transaction" in refused


@pytest.mark.integration
def test_psql_opens_the_embedded_database_as_the_reader(postgres: EmbeddedPostgres) -> None:
    assert "loan_scoring_reader loan_scoring {" in psql(WHO)


def test_a_program_of_postgres_gets_what_libpq_reads_in_the_url() -> None:
    query = "host=db.example&sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=5"
    url = f"postgresql+psycopg2://ann:{quote(ODD, safe='')}@/loans?{query}"
    environment = database.libpq_environment(database.libpq_parameters(url))
    assert {name: value for name, value in environment.items() if name not in os.environ} == {
        "PGUSER": "ann", "PGPASSWORD": ODD, "PGHOST": "db.example", "PGDATABASE": "loans",
        "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/ca.pem", "PGCONNECT_TIMEOUT": "5",
    }  # fmt: skip


@pytest.mark.integration
def test_status_beside_a_running_airflow_names_it(
    capsys: pytest.CaptureFixture[str], empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out, _ = run(capsys, "status", "--database", empty_url)
    assert "Airflow   not running; `make up` starts it\n" in out
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://scoring.lender.example")
    _, out, _ = run(capsys, "status", "--database", empty_url)
    assert "Airflow   https://scoring.lender.example\n" in out


def test_applied_migrations_are_counted_and_other_steps_are_named() -> None:
    assert _steps(["0001_a.sql", "0002_b.sql", "contract-1"]) == "applied 2 migrations, contract-1"
    assert _steps([]) == "up to date"


def test_line_that_the_log_has_is_not_printed_again_where_both_go_to_one_place(tmp_path) -> None:
    code = (
        "import logging\nfrom loan_scoring.cli import main as cli\n"
        "def handler(_):\n    logging.getLogger('x').info('done')\n"
        "    return {'text': 'done\\nmore'}\n"
        "cli.parser = lambda: type('P', (), {'parse_args': lambda s, a: "
        "type('O', (), {'json': False, 'handler': staticmethod(handler)})()})()\n"
        "cli._run([])\n"
    )
    with (tmp_path / "both").open("w") as both:
        subprocess.run([sys.executable, "-c", code], stdout=both, stderr=both, check=True)
    assert (tmp_path / "both").read_text() == "done\nmore\n"
    apart = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (apart.stdout, apart.stderr) == ("done\nmore\n", "done\n")
