"""Drift demonstrations: the page shows what the database holds; nothing else is touched."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow.csv
import pytest
import yaml
from markup import parsed

from loan_scoring import database, settings
from loan_scoring.cli.main import main
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session, open_session
from loan_scoring.lab.demo.demonstrations import DEMONSTRATIONS, Demonstration, scenario_of
from loan_scoring.lab.demo.nights import run_nights
from loan_scoring.lab.demo.page import demo_page
from loan_scoring.lab.demo.record import DemoRecord, read_demo_record
from loan_scoring.lab.demo.run import REPLAYED, TRAINED, DemoResult
from loan_scoring.lab.demo.verdicts import demo_verdict
from loan_scoring.lab.replay import replay_loans
from loan_scoring.lab.synthetic import generate_loans
from loan_scoring.local.postgres import EmbeddedPostgres
from loan_scoring.local.state import locked
from loan_scoring.models import registry
from loan_scoring.models.card.render import render_card_markdown

pytestmark = pytest.mark.integration

SMALL = ["--nights", "4", "--per-night", "500"]


@pytest.fixture(scope="module")
def loans(loan_default: Contract, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return generated loans, enough for a model and four small nights."""
    path = tmp_path_factory.mktemp("demo") / "loans.synthetic.csv"
    pyarrow.csv.write_csv(generate_loans(loan_default, 6_000, seed=1), path)
    return path


@pytest.fixture(scope="module", params=DEMONSTRATIONS, ids=lambda each: each.kind)
def replayed(
    request: pytest.FixtureRequest,
    new_database: Callable[..., str],
    trained: Any,
    loan_default: Contract,
    labelled_loans: Path | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Session, DemoRecord]]:
    """Yield a demonstration in a copy of the trained database: two calm nights, two drifted."""
    demonstration: Demonstration = request.param
    named = scenario_of(loan_default, demonstration)
    assert named is not None
    cut = replay_loans(
        loan_default,
        source=str(labelled_loans) if labelled_loans else None,
        nights=4,
        per_night=1000,
        scenarios={3: [named[0]], 4: [named[0]]},
        landing=tmp_path_factory.mktemp("landing"),
    )
    with open_session("loan_default", new_database(template=trained.url)) as session:
        steps = list(run_nights(session, cut))
        assert [step for step in steps if not step.startswith("outcomes")] == cut.batch_ids
        assert len(steps) == 8
        yield session, read_demo_record(session, demonstration, named, cut.batch_ids[2:])


def markdown(session: Session, *records: DemoRecord, is_synthetic: bool = False) -> str:
    with database.transaction(session.connection):
        champion = registry.model_row(session, "propensity-1")
    done = DemoResult(session.contract, "here", is_synthetic, champion, [], 1000, [*records], [])
    return render_card_markdown(demo_page(done)).replace("\\", "")


def select(session: Session, query: str) -> list[list]:
    return database.select_read_only(session.connection, query)[1]


def test_the_page_says_what_stands_in_the_database(replayed: tuple[Session, DemoRecord]) -> None:
    session, record = replayed
    text = markdown(session, record)
    for value, lower, upper, auc in select(
        session,
        "select 100 * r.value, 100 * r.lower, 100 * r.upper, p.realised_auc from performance r"
        " join performance_by_batch p using (scoring_run_id)"
        " where metric = 'default_rate' and basis = 'realised' and segment = 'all'",
    ):
        assert f"{value:.1f} [{lower:.1f}, {upper:.1f}]" in text
        assert f"{auc:.3f} [" in text
    alerts = select(session, "select message, kind, severity, state, last_batch_id from alerts")
    for message, kind, severity, state, last in alerts:
        assert f"> {message}" in text
        assert f"Kind {kind}, {severity}, {state}; " in text
        assert f"to {last}. Its message, " in text
    requests = select(
        session, "select batch_id, cause, verdict, reason from retrain_requests where cause <> ''"
    )
    for row in requests:
        assert f"| {' | '.join(row)} |" in text
    assert len(requests) == text.count("| asked |") + text.count("| withheld |")
    ((some, every),) = select(
        session, "select count(*) filter (where level <> 'stable'), count(*) from drift"
    )
    assert f"| {some} of {every:,} tests not stable |" in text


def test_the_verdict_follows_from_the_findings(replayed: tuple[Session, DemoRecord]) -> None:
    session, record = replayed
    found = {
        batch_id: set(kinds)
        for batch_id, kinds in select(
            session,
            "select r.batch_id, array_agg(distinct d.kind) from findings f"
            " join scoring_runs r using (scoring_run_id) join drift d using (scoring_run_id)"
            " where r.is_current and d.feature = any(f.subjects)"
            " and (d.kind in ('model', 'target')) = (f.cause = 'concept') group by 1",
        )
    }
    kind = record.demonstration.kind
    hits = [kind in found.get(night.batch_id, set()) for night in record.nights]
    quiet = [
        set(record.demonstration.quiet) & found.get(night.batch_id, set())
        for night in record.nights
    ]
    false = [found.get(night.batch_id) for night in record.calm]
    is_right, sentence = demo_verdict(record)
    assert is_right == (hits == [False, False, True, True] and not any(quiet) and not any(false))
    assert (
        f"found it on {sum(hits[2:])} of 2 drifted nights and on {sum(hits[:2])} of 2" in sentence
    )
    # A thousand loans are too few for a change of the AUC, and enough for the rest.
    assert hits[2:] == [True, True] or kind == "model"


def test_what_was_not_seen_is_not_claimed(replayed: tuple[Session, DemoRecord]) -> None:
    session, record = replayed
    blind = [replace(night, findings={}) for night in record.nights]
    text = markdown(session, replace(record, nights=blind, alerts=[], requests=[]))
    assert "Not as it should be in this run" in text
    assert "found it on 0 of 2 drifted nights" in text
    assert "None: this run does not show what it should." in text
    assert record.demonstration.lesson not in text
    assert record.demonstration.why not in text
    assert "| no |" in text

    swapped = [replace(night, is_drifted=not night.is_drifted) for night in record.nights]
    assert not demo_verdict(replace(record, nights=swapped))[0]


def databases(postgres: EmbeddedPostgres) -> set[str]:
    connection = psycopg2.connect(postgres.url("postgres"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'loan_scoring%'")
        names = {name for (name,) in cursor.fetchall()}
    connection.close()
    return names


def files(folder: Path) -> dict[Path, tuple[int, int]]:
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def users_rows(postgres: EmbeddedPostgres) -> list[tuple]:
    """Return what the portfolio database of the user holds."""
    connection = psycopg2.connect(postgres.url("loan_scoring"))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT schemaname, relname, n_tup_ins, n_tup_upd, n_tup_del"
            " FROM pg_stat_user_tables ORDER BY 1, 2"
        )
        rows = cursor.fetchall()
    connection.close()
    return rows


@pytest.fixture
def begun(loans: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield a demonstration in a process of its own, once its database holds the history."""
    command = [sys.executable, "-m", "loan_scoring.cli", "demo-drift", "--source", str(loans)]
    process = subprocess.Popen(
        [*command, *SMALL], stderr=subprocess.PIPE, text=True,
        # A shell makes background processes, and their children, ignore interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stderr is not None
    assert any("history ingested" in line for line in process.stderr)
    yield process
    process.kill()
    process.wait()
    process.stderr.close()


def test_interrupted_it_leaves_nothing(
    postgres: EmbeddedPostgres, begun: subprocess.Popen[str]
) -> None:
    assert TRAINED in databases(postgres)
    begun.send_signal(signal.SIGINT)
    assert begun.wait(300) == 130
    assert not {TRAINED, REPLAYED} & databases(postgres)
    assert not (settings.state_dir() / "demo").exists()


@pytest.fixture
def no_target_shift(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the scenario of target drift from the contract."""
    raw = yaml.safe_load((settings.portfolios_dir() / "loan_default.yaml").read_text())
    del raw["replay"]["scenarios"]["target_shift"]
    (tmp_path / "loan_default.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))


def test_the_command_after_a_killed_one_cleans_up_and_touches_nothing_else(
    postgres: EmbeddedPostgres,
    no_target_shift: None,
    begun: subprocess.Popen[str],
    loans: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun.kill()
    begun.wait()
    assert TRAINED in databases(postgres)
    assert (settings.state_dir() / "demo").exists()
    before = files(settings.data_dir()), users_rows(postgres), os.environ["LOAN_SCORING_DATA"]

    assert main(["demo-drift", "--source", str(loans), *SMALL, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    path = settings.demo_page_path("loan_default")
    assert result["page"] == str(path)
    left = files(settings.data_dir())
    left.pop(path)
    assert (left, users_rows(postgres), os.environ["LOAN_SCORING_DATA"]) == before
    assert not {TRAINED, REPLAYED} & databases(postgres)
    assert not (settings.state_dir() / "demo").exists()

    text = path.read_text()
    found = parsed(text)
    assert "script" not in found.tags
    assert found.tags.count("img") == 2 * 4
    assert all(link.startswith("data:image/svg+xml;base64,") for link in found.links)
    assert "prefers-color-scheme: dark" in text
    assert "synthetic: these loans are generated" in text
    assert [each["drift"] for each in result["demonstrations"]] == ["data", "model"]
    (missing,) = result["missing"]
    assert missing.startswith("target drift is not shown: the contract of loan_default has no ")
    assert missing in text
    for each in result["demonstrations"]:
        assert each["verdict"].replace("'", "&#x27;") in text
        for alert in each["alerts"]:
            assert alert["batch_id"] in text
    data, _ = result["demonstrations"]
    assert data["is_as_it_should_be"]
    assert {row["kind"] for row in data["alerts"]} == {"population"}


def test_a_second_one_at_once_is_one_line(
    postgres: EmbeddedPostgres, loans: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with locked(settings.state_dir() / "demo.lock"):
        assert main(["demo-drift", "--source", str(loans), *SMALL]) == 1
    assert capsys.readouterr().err == (
        "loan-scoring: another demo-drift is running; wait for it to end\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nights", "3"], "3 nights are too few"),
        (["--database", "postgresql://x/y"], "leave out --database"),
        (["--per-night", "0"], "loans a night 1 or more"),
        (["--per-night", "9000"], "replay fewer"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    postgres: EmbeddedPostgres,
    loans: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert main(["demo-drift", "--source", str(loans), *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
