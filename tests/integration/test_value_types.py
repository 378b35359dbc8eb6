"""Columns of every type go through every stage, and give the same scores wherever they are read."""

import csv
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from loan_scoring import contract as contracts
from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.applications import read_applications
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.synthetic import generate_loans
from loan_scoring.models import registry
from loan_scoring.models.promotion.decide import promote_by_hand
from loan_scoring.models.training.rows import freeze_rows
from loan_scoring.models.training.run import train
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.scoring.batch import score_batch
from loan_scoring.scoring.fields import example_application, typed_applications
from loan_scoring.scoring.file import score_file
from loan_scoring.scoring.request import score_applications

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
ROWS, NIGHT_ROWS = 4000, 400
COLUMNS: list[dict[str, Any]] = [
    {"name": "loan_id", "type": "text"},
    {"name": "amount_eur", "type": "money", "decimal": ",", "thousands": ".", "currency": "EUR",
     "margin": {"quantiles": [500, 1000, 4000, 9000, 20000, 50000, 90000.5], "effect": 1}},
    {"name": "rate_percent", "type": "percent", "margin": {
        "quantiles": [0, 1, 3, 6, 9, 14, 20], "effect": 0.5}},
    {"name": "months", "type": "integer", "range": [6, 60], "optional": True},
    {"name": "owns_home", "type": "boolean", "is_true": ["Y"], "is_false": ["N"],
     "max_null_share": 0.2, "margin": {"nulls": 0.1, "shares": {"Y": 0.6, "N": 0.4},
                                       "effect": {"N": 1}}},
    {"name": "is_bankrupt", "type": "boolean",
     "margin": {"shares": {"true": 0.05, "false": 0.95}}},
    {"name": "purpose", "type": "category", "levels": ["p1", "p2"], "ignore_case": True,
     "level_labels": {"p1": "Car", "p2": "Home improvement"},
     "margin": {"shares": {"p1": 0.5, "p2": 0.5}, "effect": {"p1": 0.5}}},
    {"name": "town", "type": "category", "levels": "free", "max_levels": 130},
    {"name": "applied_on", "type": "date", "format": "%d.%m.%Y",
     "range": ["1999-12-31", "2030-01-01"]},
    {"name": "first_credit", "type": "date", "format": "%b-%Y"},
    {"name": "applied_at", "type": "datetime", "range": ["1999-12-31", None]},
    {"name": "note", "type": "text"},
    {"name": "shadow", "type": "number", "stored_only": True},
]  # fmt: skip
CANDIDATES = {
    "logistic_regression": [{"C": 1}],
    "random_forest": [{"n_estimators": 5, "min_samples_leaf": 20}],
    "hist_gradient_boosting": [{"max_iter": 20}],
    "xgboost": [{"n_estimators": 20}],
}


def declare(folder: Path, candidate: str) -> Contract:
    raw = {
        "portfolio": "typed", "title": "t", "owner": "risk",
        "target": {"source": "status", "positive": ["bad"], "negative": ["paid"]},
        "columns": [
            {"source": each["name"], "label": each["name"], "known": "application"} | each
            for each in COLUMNS
        ],
        "exclusions": [{"reason": "bankrupt", "label": "Bankrupt", "column": "is_bankrupt",
                        "equals": "true"}],
        "decision": {"approve_below": 0.1, "decline_from": 0.3},
        "training": {"candidates": {candidate: CANDIDATES[candidate]}, "resamples": 100},
        "monitoring": {"q": 0.001},
        "schedules": {"timezone": "Europe/Berlin"},
    }  # fmt: skip
    (folder / "typed.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return contracts.load("typed")


def write_csv(table: pa.Table, path: Path) -> Path:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(table.column_names)
        out.writerows(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return path


@pytest.fixture
def typed(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    new_database: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """A scored night of a portfolio with all types: the session, and the file of the night."""
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path / "data"))
    contract = declare(tmp_path, request.param)
    loans = generate_loans(contract, ROWS + NIGHT_ROWS, 1)
    places = pa.array([str(row % (310 if row % 3 else 9)) for row in range(loans.num_rows)])
    towns = pc.binary_join_element_wise("Town", places, " ")
    loans = loans.set_column(loans.column_names.index("town"), "town", towns)
    night = loans.slice(ROWS).drop_columns("status")
    with open_session("typed", new_database(), migrates=True) as session:
        ingest_batch(session, "history", write_csv(loans.slice(0, ROWS), tmp_path / "history.csv"))
        versions, _ = train(session)
        promote_by_hand(session, versions["propensity"], "cli:tests", "a test")
        file = write_csv(night, tmp_path / f"{NIGHT}.csv")
        ingest_batch(session, NIGHT, file)
        score_batch(session, NIGHT)
        yield session, file


def scores_of(session: Session) -> dict[str, Any]:
    _, rows = database.select_read_only(
        session.connection, "select loan_id, default_probability, decision, persona from scores"
    )
    return {key: tuple(rest) for key, *rest in rows}


def read_scores(path: Path) -> dict[str, Any]:
    with path.open() as file:
        return {
            row["loan_id"]: (
                float(row["default_probability"]) if row["default_probability"] else None,
                row["decision"],
                row["persona"] or None,
            )
            for row in csv.DictReader(file)
        }


def same(found: dict[str, Any], expected: dict[str, Any], exact: bool) -> bool:
    """Return whether scores are equal. Those of a regression may differ in the last digits."""
    if exact:
        return found == expected
    pairs = [(found[key], expected[key]) for key in expected]
    return len(found) == len(expected) and all(
        one[1:] == other[1:] and one[0] == (other[0] and pytest.approx(other[0], rel=1e-9))
        for one, other in pairs
    )


@pytest.mark.parametrize("typed", CANDIDATES, indirect=True)
def test_types_are_the_same_in_training_night_api_and_file(typed: Any, tmp_path: Path) -> None:
    session, file = typed
    row = registry.model_row(session, registry.champion_pair(session)[0])
    assert row["features"] == ["amount_eur", "rate_percent", "months", "owns_home", "purpose",
                               "town"]  # fmt: skip
    expected = scores_of(session)
    assert len(expected) == NIGHT_ROWS
    exact = row["algorithm"] != "LogisticRegression"

    score_file(session, file, tmp_path / "scores.csv")
    assert same(read_scores(tmp_path / "scores.csv"), expected, exact)

    names = [column.name for column in session.contract.inputs]
    stored = read_applications(session, NIGHT, 1, names)
    parquet = tmp_path / "night.parquet"
    pq.write_table(stored, parquet)
    score_file(session, parquet, tmp_path / "again.csv")
    assert same(read_scores(tmp_path / "again.csv"), expected, exact)

    applications = [
        {name: value.isoformat() if hasattr(value, "isoformat") else value
         for name, value in each.items()}
        for each in stored.to_pylist()
    ]  # fmt: skip
    assert typed_applications(session.contract, applications).drop_columns("line_number") == stored
    answer = score_applications(session, applications)
    found = {
        each["loan_id"]: (each["default_probability"], each["decision"], each["persona"])
        for each in answer.scores
    }
    assert same(found, expected, exact)


@pytest.mark.parametrize("typed", ["hist_gradient_boosting"], indirect=True)
def test_drift_quality_and_levels_of_the_types(typed: Any, tmp_path: Path) -> None:
    session, file = typed
    compare_batch(session, NIGHT)
    _, tests = database.select_read_only(
        session.connection, "select distinct feature, test from drift where kind = 'data'"
    )
    assert {"owns_home", "town", "months"} <= {feature for feature, _ in tests}
    assert not {"applied_on", "note", "shadow"} & {feature for feature, _ in tests}
    assert ["owns_home", "chi_square"] in tests
    assert ["months", "null_share"] in tests
    row = registry.model_row(session, registry.champion_pair(session)[0])
    assert row["baseline"]["owns_home"]["levels"] == ["true", "false"]
    assert len(row["baseline"]["town"]["levels"]) == 130
    assert row["baseline"]["town"]["other"] > 0
    _, findings = database.select_read_only(
        session.connection,
        "select expectation from quality where not is_success and severity = 'critical'",
    )
    assert findings == []
    outcomes = write_csv(
        pa.table({"loan_id": list(scores_of(session)), "status": ["paid"] * NIGHT_ROWS,
                  "observed_on": ["2026-02-01"] * NIGHT_ROWS}), tmp_path / "2026-02-01.csv",
    )  # fmt: skip
    take_outcomes(session, outcomes)
    before = freeze_rows(session)
    columns = [
        each.model_copy(update={"retired": date(2025, 1, 1)}) if each.name == "months" else each
        for each in session.contract.columns
    ]
    retired = replace(session, contract=session.contract.model_copy(update={"columns": columns}))
    after = freeze_rows(retired)
    assert {*before.features} - {*after.features} == {"months"}
    assert before.fingerprint != after.fingerprint

    with file.open() as read:
        rows = list(csv.DictReader(read))
    for place, each in enumerate(rows):  # another night: other towns, flags turned, no months
        each |= {"loan_id": f"N{place}", "town": f"New {place}"}
        each["owns_home"] = each["owns_home"] and "N"
        del each["months"]
    night = tmp_path / "2026-01-06.csv"
    write_csv(pa.Table.from_pylist(rows), night)
    ingest_batch(session, "2026-01-06", night)
    score_batch(session, "2026-01-06")
    compare_batch(session, "2026-01-06")
    _, alerts = database.select_read_only(session.connection, "select kind, message from alerts")
    ((kind, message),) = alerts
    assert kind == "population"
    assert "owns_home (owns_home) is false in" in message
    assert "town (town) is other levels in 100.0% of the batch" in message


def test_example_breaks_no_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    contract = declare(tmp_path, "xgboost")
    assert typed_applications(contract, [example_application(contract)]).num_rows == 1
