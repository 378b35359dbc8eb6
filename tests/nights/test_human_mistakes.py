"""The recipes of docs/operations.md for human mistakes, run as written on a real scheduler."""

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from loan_scoring import contract, database, settings
from loan_scoring.cli.main import main
from loan_scoring.database.session import Session, open_session
from loan_scoring.lab.replay import Replay, replay_loans
from loan_scoring.local.airflow_client import AirflowClient
from loan_scoring.local.airflow_stack import STAGES, airflow_stack
from loan_scoring.local.postgres import embedded

pytestmark = [pytest.mark.nights, pytest.mark.end_to_end, pytest.mark.integration]

PORTFOLIO = "loan_default"
OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
PATIENCE_SECONDS = 1500
FIRST, SECOND, THIRD = "2026-01-05", "2026-01-06", "2026-01-07"
SCORES = (
    "SELECT batch_id, count(*), md5(string_agg(loan_id || decision, ',' ORDER BY loan_id))"
    " FROM current_scores GROUP BY batch_id ORDER BY batch_id"
)


def commands(heading: str) -> list[list[str]]:
    """Return the commands that the recipe under a heading tells people to type."""
    section = OPERATIONS.read_text().split(f"### {heading}\n")[1]
    section = re.split(r"\n##+ ", section)[0]
    return [
        shlex.split(line) for line in re.findall(r"^ +\.venv/bin/loan-scoring (.*)$", section, re.M)
    ]


def shell_lines(heading: str) -> list[str]:
    """Return the lines of a recipe that are no commands of loan-scoring."""
    section = OPERATIONS.read_text().split(f"### {heading}\n")[1]
    section = re.split(r"\n##+ ", section)[0]
    return re.findall(r"^ {7}((?:cp|mv|touch) .*)$", section, re.MULTILINE)


@dataclass
class Lender:
    """A running Airflow with trained models, and the landing folder with three nights."""

    session: Session
    client: AirflowClient
    cut: Replay

    @property
    def landing(self) -> Path:
        return settings.landing_dir(PORTFOLIO)

    def rows(self, query: str) -> list[list]:
        return database.select_read_only(self.session.connection, query)[1]

    def wait(self, what: str, until: Callable[[], bool]) -> None:
        ends = time.monotonic() + PATIENCE_SECONDS
        while not until() or self.client.dag_runs(states=["queued", "running"]):
            failed = [
                run
                for run in self.client.dag_runs(states=["failed"])
                if not run.run_id.startswith("scheduled__")
            ]
            assert not failed, (failed, self.client.failed_tasks())
            assert time.monotonic() < ends, f"no end of waiting for {what}"
            time.sleep(0.5)

    def ingest(self, *dates: str) -> None:
        """Trigger ingest of dates, and wait until their newest revisions are compared."""
        for date in dates:
            self.client.trigger(f"{PORTFOLIO}_ingest", partition_key=date)
        compared = (
            "SELECT DISTINCT b.batch_id FROM batches AS b JOIN scoring_runs AS r"
            " USING (batch_id, revision) JOIN drift USING (scoring_run_id)"
            " WHERE b.is_current AND r.is_current"
        )
        self.wait(f"ingest of {dates}", lambda: {*dates} <= {row[0] for row in self.rows(compared)})

    def type(self, command: list[str]) -> None:
        assert main([*command, "--database", embedded().url("loan_scoring")]) == 0, command


@pytest.fixture(scope="module")
def lender(
    tmp_path_factory: pytest.TempPathFactory, labelled_loans: Path | None, lenient_portfolios: Path
) -> Iterator[Lender]:
    folder = tmp_path_factory.mktemp("lender")
    raw = yaml.safe_load((lenient_portfolios / f"{PORTFOLIO}.yaml").read_text())
    raw["replay"]["outcome_lag_nights"] = 1
    (folder / "portfolios").mkdir()
    (folder / "portfolios" / f"{PORTFOLIO}.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOAN_SCORING_PORTFOLIOS", str(folder / "portfolios"))
        patch.setenv("LOAN_SCORING_STATE", str(folder / "state"))
        patch.setenv("LOAN_SCORING_DATA", str(folder / "data"))
        of = contract.load(PORTFOLIO)
        cut = replay_loans(
            of,
            source=str(labelled_loans) if labelled_loans else None,
            nights=3,
            per_night=1000,
            scenarios={},
            landing=settings.landing_dir(PORTFOLIO),
        )
        # The recipes name a lender's files, so generated ones drop the mark in their names.
        for path in settings.landing_dir(PORTFOLIO).glob("*/*.synthetic.csv*"):
            path.rename(path.with_name(path.name.replace(".synthetic", "")))
        url = embedded().start().url("loan_scoring")
        try:
            with open_session(PORTFOLIO, url) as session, airflow_stack([of], url) as client:
                for stage in STAGES:
                    client.unpause(f"{PORTFOLIO}_{stage}")
                made = Lender(session, client, cut)
                client.trigger(f"{PORTFOLIO}_ingest", conf={"batch_id": "history"})
                made.wait("models", lambda: bool(made.rows("SELECT 1 FROM promotions")))
                made.ingest(FIRST)
                yield made
        finally:
            embedded().stop()


def test_misdated_file(lender: Lender) -> None:
    typed = commands("A misdated file")
    assert [command[0] for command in typed] == ["withdraw", "ingest", "ingest", "withdraw"]
    withdraw, *ingest, undo = typed
    nights = lender.landing / "applications"
    right = {date: nights / f"{date}.csv" for date in (SECOND, THIRD)}
    kept = {date: shutil.copy(path, nights.parent / f"kept-{date}") for date, path in right.items()}
    right[THIRD].replace(right[SECOND])
    lender.ingest(SECOND)
    wrong = lender.rows(SCORES)

    lender.type(withdraw)
    assert [row[0] for row in lender.rows(SCORES)] == [FIRST]
    lender.type(undo)
    assert lender.rows(SCORES) == wrong
    lender.type(withdraw)

    for date, path in right.items():
        shutil.copy(kept[date], path)
    lender.ingest(THIRD, SECOND)
    scores = lender.rows(SCORES)
    assert [row[:2] for row in scores] == [[FIRST, 1000], [SECOND, 1000], [THIRD, 1000]]
    assert scores[2][1:] == wrong[1][1:]
    for command in ingest:
        lender.type(command)  # on the command line the same: nothing is left to do
    assert lender.rows(SCORES) == scores
    assert lender.rows("SELECT count(*) FROM loans WHERE batch_id <> 'history'") == [[3000]]


def test_half_file(lender: Lender, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The commands are typed by a shell in a folder that has the data folder of the stack."""
    heading = "A half file"
    path = lender.landing / "applications" / f"{SECOND}.csv"
    whole = path.read_bytes()
    (tmp_path / "whole.csv").write_bytes(whole)
    (tmp_path / "data").symlink_to(settings.data_dir())
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:501]))
    lender.ingest(SECOND)
    half = lender.rows(f"SELECT count(*) FROM current_scores WHERE batch_id = '{SECOND}'")
    assert half == [[500]]

    for line in shell_lines(heading):
        subprocess.run(shlex.split(line), cwd=tmp_path, check=True)
    see, reconcile, *ingest = commands(heading)
    assert [command[0] for command in ingest] == ["ingest", "score", "metrics"]
    lender.type(see)
    lender.type(reconcile)
    changed = "SELECT subject FROM landing_findings WHERE finding = 'changed'"
    assert [row[0].split()[0] for row in lender.rows(changed)] == [f"applications/{SECOND}.csv"]
    lender.ingest(SECOND)
    now = lender.rows(f"SELECT count(*) FROM current_scores WHERE batch_id = '{SECOND}'")
    assert now == [[1000]]
    for command in [*ingest, reconcile]:
        lender.type(command)
    assert lender.rows(changed) == []


def test_wrong_outcomes(lender: Lender) -> None:
    heading = "Wrong outcomes"
    typed = commands(heading)
    date = "2026-01-08"
    path = lender.landing / "outcomes" / f"{date}.csv"
    right = path.read_text()
    header, *lines = right.splitlines()
    place = header.split(",").index("Status")
    wrong = [line.split(",") for line in lines]
    for fields in wrong:
        fields[place] = "1" if fields[place] == "0" else "0"
    path.write_text("\n".join([header, *map(",".join, wrong)]) + "\n")
    known = "SELECT loan_id, is_default FROM outcomes ORDER BY loan_id"
    before = lender.rows(known)
    lender.client.trigger(f"{PORTFOLIO}_outcomes", partition_key=date)
    lender.wait("outcomes", lambda: len(lender.rows(known)) > len(before))
    taken = lender.rows(known)

    see, withdraw, undo, again, correct, *rest = typed
    lender.type(see)
    lender.type(withdraw)
    assert lender.rows(known) == before
    lender.type(undo)
    assert lender.rows(known) == taken
    path.write_text(right)
    lender.client.trigger(f"{PORTFOLIO}_outcomes", partition_key=date)
    lender.wait("right outcomes", lambda: lender.rows(known) != taken)
    assert [each[1] for each in lender.rows(known) if each not in before] == [
        not each[1] for each in taken if each not in before
    ]
    assert again[:2] == ["outcomes", "--source"]
    assert "--correction" in correct
    assert [each[0] for each in rest] == ["sql", "train"]
    lender.type(rest[0])


def test_wrong_scores_are_replaced_by_an_older_run(lender: Lender) -> None:
    (command,) = commands("The wrong scores are shown")
    (run,) = lender.rows(
        f"SELECT scoring_run_id FROM scoring_runs WHERE batch_id = '{SECOND}' AND is_current"
    )
    written = command[command.index("--run") + 1]
    lender.type([each if each != written else run[0] for each in command])
    assert written.startswith(f"{SECOND}-r")
    assert "-propensity-1-personas-1-" in written
