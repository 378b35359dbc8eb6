"""Everything held on one loan is exported, and erased from database and disk."""

import csv
import gzip
import io
import json
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.database import audit
from loan_scoring.database.files import read_artifact
from loan_scoring.database.session import Session, open_session
from loan_scoring.desk.application import score_what_if
from loan_scoring.desk.decisions import record_decision
from loan_scoring.errors import MissingError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.corrections import replay_corrections
from loan_scoring.ingest.files.table import open_table
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.ingest.spreadsheet import export_quarantine
from loan_scoring.models import registry
from loan_scoring.monitoring.landing_folder import compare_landing
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.privacy.delivered import find_records, write_without
from loan_scoring.privacy.erase import erase_loan
from loan_scoring.privacy.held import export_loan
from loan_scoring.privacy.naming import naming_pattern, without_loan
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
BY = "cli:tests"
KILLED = """
import os, signal, sys
from importlib import import_module
from loan_scoring.database.session import open_session
module, _, name = sys.argv[1].rpartition(".")
setattr(import_module(module), name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
from loan_scoring.privacy.delivered import find_records, write_without
from loan_scoring.privacy.erase import erase_loan
with open_session("loan_default", sys.argv[2]) as session:
    erase_loan(session, int(sys.argv[3]), "asked for", "cli:tests")
"""
"""An erasure that is killed where it calls a function."""

CENTS = ".0625"
"""What makes the loan's income one that no other loan has, by which the scan finds the loan."""

FIRST_KEY = 8_000_000


def ask(session: Session, query: str, *values: object) -> list[tuple]:
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute(query, values or None)
        return cursor.fetchall()


@pytest.fixture
def session(
    own_data: Path, new_database: Callable[..., str], trained
) -> Iterator[Session]:  # fmt: skip
    with open_session("loan_default", new_database(template=trained.url)) as session:
        yield session


def url_of(session: Session) -> str:
    known = session.connection.info
    return f"postgresql://{known.user}:{known.password}@{known.host}:{known.port}/{known.dbname}"


def applications_of(own_data: Path) -> Path:
    """Return the night's file. The name of a file of generated loans says what they are."""
    (path,) = (own_data / "landing" / "loan_default" / "applications").glob(f"{NIGHT}*.csv")
    return path


def outcomes_of(own_data: Path) -> Path:
    return own_data / "landing" / "loan_default" / "outcomes" / "2026-01-20.csv"


def gone_through_everything(session: Session, own_data: Path, tmp_path: Path) -> tuple[int, str]:
    """Take one loan through everything that can happen to it. Return its key and its income."""
    path = applications_of(own_data)
    first, *rest = path.read_text().splitlines()
    header = first.split(",")
    # Keys of seven digits: the scan would take a shorter key for an amount of another loan.
    numbered = (line.partition(",") for line in rest)
    lines = [first, *(f"{FIRST_KEY + int(key)},{values}" for key, _, values in numbered)]
    path.write_text("\n".join(lines) + "\n")
    ingest_batch(session, NIGHT, path)
    score_batch(session, NIGHT)
    query = (
        "select loan_id, income_usd_per_month::int from current_scores join applications"
        " using (batch_id, loan_id) where decision = 'review'"
        " and income_usd_per_month > 1000 order by abs(default_probability - %s) limit 1"
    )
    policy = session.contract.decision
    middle = (policy.approve_below + policy.decline_from) / 2
    ((loan, whole),) = ask(session, query, middle)
    income = f"{whole}{CENTS}"
    # The same night again, in which the loan cannot be read at first.
    place = next(number for number, line in enumerate(lines) if line.split(",")[0] == str(loan))
    fields = lines[place].split(",")
    fields[header.index("income")] = f"much {income}"
    lines[place] = ",".join(fields)
    path.write_text("\n".join(lines) + "\n")
    assert ingest_batch(session, NIGHT, path).quarantined == 1
    out = io.StringIO()
    export_quarantine(session, NIGHT, out)
    (row,) = csv.DictReader(io.StringIO(out.getvalue().removeprefix("\ufeff")))
    row["income"] = income
    mended = tmp_path / "mended.csv"
    with mended.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    assert replay_corrections(session, NIGHT, mended).mended == 1
    mended.unlink()  # the person's own file
    score_batch(session, NIGHT)
    compare_batch(session, NIGHT)
    record_decision(session, loan, "decline", f"loan {loan} earns {income}", "airflow:ann")
    record_decision(session, loan, "approve", "overridden", "airflow:bob")
    score_what_if(session, loan, {"upfront_charges_usd": 1.0}, "champion", "airflow:ann")
    outcomes = outcomes_of(own_data)
    outcomes.parent.mkdir(exist_ok=True)
    other = lines[1 if place != 1 else 2].split(",")[0]
    target = session.contract.target.source
    outcomes.write_text(
        f"ID,{target},observed_on\n{loan},1,2026-01-19\n{other},0,2026-01-19\n{loan},1,2026-01-01\n"
    )
    take_outcomes(session, outcomes)
    revised = outcomes.with_name("2026-01-21.correction.csv")
    revised.write_text(f"ID,{target},observed_on\n{loan},0,2026-01-19\n{other},0,2026-01-19\n")
    take_outcomes(session, revised)
    audit.record_entry(session, BY, "test.run", f"loan {loan}", {"comment": income})
    session.connection.commit()
    return loan, income


def database_texts(session: Session) -> str:
    """Return every row of every table as text."""
    tables = ask(
        session,
        "select relname from pg_class where relkind in ('r', 'p') and not relispartition"
        " and relnamespace = current_schema()::regnamespace",
    )
    return "\n".join(
        f"{name}: {text}"
        for (name,) in tables
        for (text,) in ask(session, f'select t::text from "{name}" as t')
    )


def disk_texts(folder: Path) -> str:
    """Return every file as text; Parquet and packed files unpacked."""
    texts = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        if path.suffix == ".parquet":
            out = io.BytesIO()
            pyarrow.csv.write_csv(pq.read_table(path), out)
            content = out.getvalue()
        elif path.suffix == ".gz":
            content = gzip.decompress(path.read_bytes())
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                content = b"\n".join(archive.read(name) for name in archive.namelist())
        else:
            content = path.read_bytes()
        texts.append(content.decode(errors="replace"))
    return "\n".join(texts)


def naming(text: str, loan: int, income: str) -> list[str]:
    """Return the lines in which the loan's key stands by itself, or its income."""
    pattern = re.compile(rf"(?<![0-9.-]){loan}(?![0-9])|{re.escape(income)}")
    return [
        f"{line[:60]} ... {line[max(found.start() - 60, 0) : found.end() + 40]}"
        for line in text.splitlines()
        if (found := pattern.search(line))
    ]


@pytest.mark.attack
def test_loan_that_has_gone_through_everything_is_exported_and_erased(
    session: Session, own_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loan, income = gone_through_everything(session, own_data, tmp_path)
    url = url_of(session)
    backup = tmp_path / "backup"
    assert main(["backup", "--to", str(backup), "--keep-days", "30", "--database", url]) == 0
    capsys.readouterr()
    assert main(["privacy", "export", "--loan", str(loan), "--database", url]) == 0
    held = json.loads(capsys.readouterr().out)
    assert {
        "applications", "scores", "quarantine", "calls", "loans", "outcomes", "outcome_revisions",
    } <= {*held["tables"]}  # fmt: skip
    assert len(held["tables"]["approvals"]) == 2
    assert len(held["tables"]["outcome_revisions"]) >= 2
    assert {each["file"].split("/")[-2] for each in held["files"]} == {"applications", "outcomes"}
    assert held["named_in"]["audit_log"]
    assert [each["folder"] for each in held["backups"]] == [str(backup)]
    assert naming(database_texts(session), loan, income)
    assert naming(disk_texts(own_data), loan, income)

    figures = ask(session, "select count(*), sum(statistic) from drift")
    scores = ask(session, "select count(*), count(distinct loan_id) from scores")
    reason = f"asked for by letter, loan {loan}"
    erase = ["privacy", "erase", "--loan", str(loan), "--reason", reason, "--database", url]
    assert main(erase) == 0
    told = capsys.readouterr().out
    assert f"{backup}" in told
    rewritten = applications_of(own_data).relative_to(own_data)
    assert f"rewritten  {rewritten}" in told

    # A quantile of a night may be the value of one applicant. It is a figure without a key.
    assert all(
        line.startswith("distributions: ") for line in naming(database_texts(session), loan, income)
    )
    assert naming(disk_texts(own_data), loan, income) == []
    assert ask(session, "select count(*), sum(statistic) from drift") == figures
    assert ask(session, "select count(*), count(distinct loan_id) from scores") == scores
    ((pseudonym,),) = ask(session, "select pseudonym from erasures")
    kept = ask(session, "select decision, comment, decided_by from approvals order by decided_at")
    assert kept == [("decline", "erased", "airflow:ann"), ("approve", "erased", "airflow:bob")]
    assert ask(session, "select distinct loan_id::text from approvals") == [(pseudonym,)]
    assert audit.verify_chain(session).faults == []
    assert main(erase) == 1
    error = capsys.readouterr().err
    assert "nothing is held on loan" in error
    assert len(error.strip().splitlines()) == 1
    assert ask(session, "select count(*) from audit_log where action = 'loan.erase'") == [(1,)]

    # The rewritten files are no new deliveries, and the other loans go on.
    assert [each.finding for each in compare_landing(session) if each.finding == "changed"] == []
    score_batch(session, NIGHT)
    assert take_outcomes(session, outcomes_of(own_data)).is_unchanged


@pytest.mark.attack
def test_forged_audit_entry_is_found_after_an_erasure(
    session: Session, own_data: Path, tmp_path: Path
) -> None:
    loan, _ = gone_through_everything(session, own_data, tmp_path)
    erase_loan(session, loan, "asked for", BY)
    ((entry, subject),) = ask(
        session,
        "select entry_id, subject from audit_log where action = 'test.run'",
    )
    assert str(loan) not in subject
    ask(
        session,
        "alter table audit_log disable trigger all;"
        "update audit_log set subject = 'forged' where entry_id = %s;"
        "alter table audit_log enable trigger all; select 1",
        entry,
    )
    assert [each["entry_id"] for each in audit.verify_chain(session).faults] == [entry]


@pytest.mark.attack
def test_loan_of_the_history_leaves_baseline_and_training_files(
    session: Session, own_data: Path
) -> None:
    row = registry.model_row(session, "propensity-1")
    old = own_data / "artifacts" / "loan_default" / row["baseline_artifact"]
    table = pq.read_table(old)
    loans = ask(session, "select loan_id from applications order by loan_id")
    loan = next(
        loan
        for (loan,) in loans
        if any("baseline-" in each["file"] for each in export_loan(session, loan)["files"])
    )
    done = erase_loan(session, loan, "asked for", BY)
    assert any("history" in each["path"] for each in done.files)
    new = registry.model_row(session, "propensity-1")
    assert new["baseline_artifact"] != row["baseline_artifact"]
    assert not old.exists()
    read_artifact("loan_default", new["baseline_artifact"], new["baseline_sha256"])
    rows = pq.read_table(own_data / "artifacts" / "loan_default" / new["baseline_artifact"])
    assert 0 < table.num_rows - rows.num_rows <= 2
    with pytest.raises(MissingError, match="nothing is held"):
        export_loan(session, loan)


def test_loan_not_found_is_refused_in_one_line(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in (["export"], ["erase", "--reason", "asked for"]):
        arguments = ["privacy", part[0], "--loan", "999999999", *part[1:]]
        assert main([*arguments, "--database", url_of(session)]) == 1
        error = capsys.readouterr().err.strip()
        assert "nothing is held on loan 999999999" in error
        assert len(error.splitlines()) == 1
    assert ask(session, "select count(*) from erasures") == [(0,)]


def test_killed_erasure_is_continued_and_recorded_once(
    session: Session, own_data: Path, tmp_path: Path
) -> None:
    loan, income = gone_through_everything(session, own_data, tmp_path)
    url = url_of(session)
    pauses = (
        "loan_scoring.privacy.rewriting._note",
        "loan_scoring.privacy.erase._switch",
        "loan_scoring.privacy.erase._finish",
    )
    for place in pauses:
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, place, url, str(loan)], capture_output=True, check=False
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    # What is left to do is only known by the key, which the erasure holds until it has ended.
    assert ask(session, "select loan_id from erasures") == [(str(loan),)]
    done = erase_loan(session, loan, "asked for", BY)
    assert naming(disk_texts(own_data), loan, income) == []
    assert all(
        line.startswith("distributions: ") for line in naming(database_texts(session), loan, income)
    )
    assert ask(session, "select pseudonym, loan_id from erasures") == [(done.pseudonym, None)]
    assert ask(session, "select count(*) from audit_log where action = 'loan.erase'") == [(1,)]
    assert audit.verify_chain(session).faults == []
    assert compare_landing(session) == [
        each for each in compare_landing(session) if each.finding != "changed"
    ]


@pytest.mark.parametrize("packing", ["csv", "csv.gz", "zip", "parquet", "utf-16", "malformed"])
def test_record_leaves_a_file_of_any_format(session: Session, tmp_path: Path, packing: str) -> None:
    contract = session.contract
    text = 'ID,note\n11,a\n22,"two\nlines"\n33,c\n22,again\n44,d\n'
    path = tmp_path / f"2026-02-01.{packing if packing != 'utf-16' else 'csv'}"
    expected = [["11", "a"], ["33", "c"], ["44", "d"]]
    if packing == "csv.gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif packing == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("night.csv", text)
    elif packing == "parquet":
        rows = list(csv.reader(io.StringIO(text)))
        columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))
        pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), path)
    elif packing == "utf-16":
        source = contract.source.model_copy(update={"encoding": "utf-16"})
        contract = contract.model_copy(update={"source": source})
        path.write_bytes(text.encode("utf-16"))
    else:
        path = tmp_path / "2026-02-01.csv"
        path.write_text(text + ("22,x,too,many\n" if packing == "malformed" else ""))
    records = find_records(contract, "applications", path, 22)
    assert len(records) == 2 + (packing == "malformed")
    draft = write_without(contract, "applications", path, records)
    assert draft is not None
    draft.replace(path)
    assert find_records(contract, "applications", path, 22) == []
    with open_table(path, ["ID", "note"], file_format=contract.source) as table:
        blocks = list(table)
    found = [list(row.values()) for block in blocks for row in block.table.to_pylist()]
    assert found == expected
    if packing != "parquet":  # every other line keeps its number
        assert [n for block in blocks for n in block.line_numbers.tolist()] == [2, 5, 7]
    assert list(tmp_path.glob(".*.part")) == []


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        (24890, "loan 24890, 24890 rows", "loan -7, 24890 rows"),
        (24890, '{"loan_id": 24890, "rows": [24890]}', '{"loan_id": -7, "rows": [24890]}'),
        (24890, "loan 248901; loans 24890", "loan 248901; loans -7"),
        (24890, "Loan #24890.", "Loan #-7."),
        ("A-12.7x", "A-12.7x: a-12.7X and A-1257x, BA-12.7x", "-7: -7 and A-1257x, BA-12.7x"),
        ("fern", "fern; loan fern", "fern; loan -7"),
        ("a8098c1a-f86e-11da-bd1a-00112444be1e", '"A8098C1A-F86E-11DA-BD1A-00112444BE1E"', '"-7"'),
    ],
)
def test_text_that_names_a_loan_is_found_alike_by_postgres_and_python(
    empty: Session, key: object, text: str, expected: str
) -> None:
    assert without_loan(text, key, "-7") == expected
    query = "select regexp_replace(%s, %s, %s, 'gi')"
    assert ask(empty, query, text, naming_pattern(key), r"\1-7") == [(expected,)]


@pytest.mark.attack
def test_server_log_quotes_neither_statements_nor_details(empty: Session) -> None:
    assert ask(
        empty,
        "select current_setting('log_error_verbosity'), current_setting('log_min_error_statement')",
    ) == [("terse", "panic")]


@pytest.mark.attack
def test_commands_write_files_for_their_account_and_group_only(tmp_path: Path) -> None:
    program = (
        "import os, sys; os.umask(0o022)\n"
        "from loan_scoring.cli.main import main\n"
        "main(['contract', 'schema'])\n"
        "open(sys.argv[1], 'w').close()"
    )
    path = tmp_path / "file"
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, capture_output=True)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.attack
def test_reading_one_record_by_the_command_line_is_on_record(
    scored: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    ((loan,),) = ask(scored, "select min(loan_id) from current_scores")
    assert main(["loan", str(loan), "--database", url_of(scored)]) == 0
    assert f"loan {loan}" in capsys.readouterr().out
    rows = ask(scored, "select loan_id, place, read_by like 'cli:%%' from readings")
    assert rows == [(loan, "cli", True)]
