"""Eight weeks of a lender that learns outcomes of approved loans only, by the command line.

Business loans are rarer on weekends. In the last two weeks a fifth of the paid loans defaults.
"""

import csv
import gzip
import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from loan_scoring import contract, database, settings
from loan_scoring.cli.main import main
from loan_scoring.database.session import open_session

pytestmark = pytest.mark.lending

PORTFOLIO = "loan_default"
FIRST = date(2026, 1, 5)
"""The first night, a Monday."""
WEEKS, CHANGED_FROM, LEARNT = 8, 7, 3
"""Weeks in all, the week from which defaults change, and the weeks that teach usual nights."""
HISTORY, PER_NIGHT, LAG = 60_000, 1_500, 3
"""Loans of the history and of a night, and the nights until outcomes of a night arrive."""
BUSINESS_KEPT = 0.53
"""The share of business loans that also apply on weekends: 14 % of a night become 8 %."""
SHIFT = 0.2
"""The share of the paid loans that default from the changed week on, as scenario target_shift."""
OUTCOME = "Status"

Run = Callable[..., Any]


class Loans:
    """The rows of the real file in random order, dealt out night by night."""

    def __init__(self, source: Path) -> None:
        with gzip.open(source, "rt", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            self.names = list(reader.fieldnames or [])
        self.dice = np.random.default_rng(20261128)
        self.rows: Iterator[dict[str, str]] = iter(
            [rows[k] for k in self.dice.permutation(len(rows))]
        )
        self.outcomes: dict[str, dict[str, str]] = {}

    def history(self) -> list[dict[str, str]]:
        return [next(self.rows) for _ in range(HISTORY)]

    def night(self, day: date) -> list[dict[str, str]]:
        taken: list[dict[str, str]] = []
        while len(taken) < PER_NIGHT:
            row = next(self.rows)
            is_business = row["business_or_commercial"] == "b/c"
            if day.weekday() < 5 or not is_business or self.dice.random() < BUSINESS_KEPT:
                taken.append(row)
        self.outcomes[day.isoformat()] = {row["ID"]: row[OUTCOME] for row in taken}
        return [{**row, OUTCOME: ""} for row in taken]

    def write(self, path: Path, rows: list[dict[str, str]], names: list[str] | None = None) -> Path:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names or self.names)
            writer.writeheader()
            writer.writerows(rows)
        return path


@pytest.fixture(scope="module")
def loans(real_loans: Path) -> Loans:
    return Loans(real_loans)


@pytest.fixture
def run(
    tmp_path: Path,
    folders: Path,
    new_database: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Return a function that runs a command and returns its JSON."""
    raw = yaml.safe_load((folders / "portfolios" / f"{PORTFOLIO}.yaml").read_text())
    raw["outcomes"] = {"known_for": "approved"}
    (tmp_path / f"{PORTFOLIO}.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LOAN_SCORING_DATABASE_URL", new_database())

    def go(*words: object) -> Any:
        code = main([*map(str, words), "--json"])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return json.loads(printed.out)

    return go


def nights(first_week: int, last_week: int) -> list[date]:
    days = range(7 * (first_week - 1), 7 * last_week)
    return [FIRST + timedelta(days=day) for day in days]


def live(run: Run, loans: Loans, days: list[date], folder: Path, shift: float = 0.0) -> list[str]:
    """Ingest, score and measure nights; take in outcomes; train when asked. Return the requests."""
    asked = []
    dice = np.random.default_rng(7)
    for day in days:
        night = day.isoformat()
        run(
            "ingest",
            "--batch",
            night,
            "--source",
            loans.write(folder / f"{night}.csv", loans.night(day)),
        )
        run("score", "--batch", night)
        found = run("metrics", "--batch", night)
        asked += [f"{night} population"] * found["asks_for_model"]
        known = day - timedelta(days=LAG)
        if known.isoformat() in loans.outcomes:
            is_changed = bool(shift) and known >= days[0]
            found = run(
                "outcomes", "--source", approved(loans, known, folder, shift * is_changed, dice)
            )
            asked += [f"{night} concept"] * found["asks_for_model"]
            if found["asks_for_model"]:
                run("train")
    return asked


def approved(
    loans: Loans, day: date, folder: Path, shift: float, dice: np.random.Generator
) -> Path:
    """Write the outcomes of a night's approved loans; a share of the paid ones defaults."""
    states = loans.outcomes[day.isoformat()]
    funded = query(
        "select loan_id::text from decisions_in_effect"
        " where batch_id = %s and decision = 'approve'",
        day.isoformat(),
    )
    rows = [
        {"ID": loan, OUTCOME: "1" if dice.random() < shift else states[loan]} for (loan,) in funded
    ]
    return loans.write(folder / f"outcomes-{day}.csv", rows, ["ID", OUTCOME])


def causes(since: date) -> list[tuple[str, str]]:
    """Return batch and cause of all findings of the current runs since a night."""
    return query(
        "select r.batch_id, f.cause from findings f join scoring_runs r using (scoring_run_id)"
        " where r.is_current and r.batch_id >= %s order by 1, 2",
        since.isoformat(),
    )


def query(statement: str, *values: str) -> list[Any]:
    """Return the rows of a query, each as a tuple."""
    with (
        open_session(PORTFOLIO, settings.database_url()) as session,
        database.transaction(session.connection),
        session.connection.cursor() as cursor,
    ):
        cursor.execute(statement, values)
        return [tuple(row.values()) if isinstance(row, dict) else tuple(row) for row in cursor]


def test_usual_weeks_are_quiet_and_changed_defaults_are_found(
    run: Run,
    loans: Loans,
    tmp_path: Path,
    new_database: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history = loans.write(tmp_path / "history.csv", loans.history())
    run("ingest", "--batch", "history", "--source", history)
    trained = run("train")
    if trained["verdict"] != "promoted":
        run("models", "promote", "propensity-1", "--comment", "a part of the loans")

    asked = live(run, loans, nights(1, CHANGED_FROM - 1), tmp_path)
    learnt = nights(LEARNT + 1, WEEKS)[0]
    assert causes(learnt) == []
    assert [each for each in asked if each[:10] >= learnt.isoformat()] == []

    asked = live(run, loans, nights(CHANGED_FROM, WEEKS), tmp_path, SHIFT)
    found = causes(learnt)
    assert {cause for _, cause in found} == {"concept"}
    assert min(night for night, _ in found) >= nights(CHANGED_FROM, WEEKS)[0].isoformat()
    # One request. New models were refused, so it is asked again, but only after the cooldown.
    assert {each.split()[1] for each in asked} == {"concept"}
    at = [date.fromisoformat(each.split()[0]) for each in asked]
    cooldown = contract.load(PORTFOLIO).retraining.cooldown_nights
    assert (at[0] - nights(CHANGED_FROM, WEEKS)[0]).days <= LAG + 2
    assert all((later - one).days > cooldown for one, later in pairwise(at))
    verdicts = query(
        "select distinct verdict from promotions"
        " where model_version not in ('propensity-1', 'personas-1')"
    )
    assert verdicts == [("refused",)]
