"""Training goes on with a column or a candidate that it cannot use, and says so in one line."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.database.applications import read_applications
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.models import registry
from loan_scoring.models.card.content import read_card
from loan_scoring.models.card.render import render_card_markdown
from loan_scoring.models.encoding import feature_frame
from loan_scoring.models.promotion.decide import promote_by_hand
from loan_scoring.models.training import alternatives
from loan_scoring.models.training.cross_validation import TrialError, TrialResult
from loan_scoring.models.training.report import training_summary
from loan_scoring.models.training.run import finish_training, plan_training, train, try_trial
from loan_scoring.models.training.trials import recorded_failures, recorded_trials
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
ROWS = 4000
USABLE = {
    "logistic_regression": [{"C": 1}],
    "random_forest": [{"n_estimators": 5, "min_samples_leaf": 20}],
    "hist_gradient_boosting": [{"max_iter": 10}],
    "xgboost": [{"n_estimators": 10}],
}
FAILING = {"random_forest": [{"min_samples_leaf": 0}], "xgboost": [{"max_depth": -1}]}
TYPES = {
    "amount": "number",
    "town": "category",  # 300 levels
    "street": "category",  # another one in each row
    "arrears": "number",  # filled in 2 rows of 4,000
    "flag": "integer",  # null in 95 %, else 0
    "branch": "category",  # the same in each row
    "account": "integer",  # up to 2^63 - 1
    "turnover": "number",  # one row has 1e39
}


def contract_of(candidates: dict[str, Any], columns: list[str]) -> dict[str, Any]:
    return {
        "portfolio": "odd",
        "title": "Odd columns",
        "owner": "tests",
        "target": {"source": "status", "positive": ["bad"], "negative": ["paid"]},
        "columns": [
            {
                "source": name, "name": name, "label": name.title(), "known": "application",
                "type": TYPES.get(name, "integer"),
                **({"open_levels": True} if TYPES.get(name) == "category" else {}),
                **({"max_null_share": 1} if name in ("arrears", "flag") else {}),
            }
            for name in ["loan_id", *columns]
        ],
        "decision": {"approve_below": 0.1, "decline_from": 0.3},
        "training": {"candidates": candidates, "resamples": 100},
    }  # fmt: skip


def write_loans(path: Path, first: int, dice: np.random.Generator) -> Path:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["loan_id", *TYPES, "status"])
        for place in range(ROWS):
            amount, town = dice.normal(), int(dice.integers(300))
            bad = dice.random() < 1 / (1 + np.exp(1.5 - amount - 1.5 * (town % 3 == 0)))
            out.writerow(
                [
                    first + place, f"{amount:.4f}", f"town_{first if place < 9 else town}",
                    f"street_{first + place}", "7.5" if place in (100, 2000) else "",
                    "0" if place % 20 == 0 else "", "north", 2**63 - 1 - place,
                    "1e39" if place == 50 else f"{dice.normal():.4f}", "bad" if bad else "paid",
                ]
            )  # fmt: skip
    return path


@pytest.fixture
def open_odd(
    new_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[Session, str]]]:
    """Return a function that declares the portfolio and ingests its history."""
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path / "data"))
    opened = []

    def go(candidates: dict[str, Any], columns: list[str]) -> tuple[Session, str]:
        raw = contract_of(candidates, columns)
        (tmp_path / "odd.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
        url = new_database()
        context = open_session("odd", url)
        session = context.__enter__()
        opened.append(context)
        history = write_loans(tmp_path / "history.csv", 1, np.random.default_rng(1))
        ingest_batch(session, "history", str(history))
        return session, url

    yield go
    for context in opened:
        context.__exit__(None, None, None)


def failures_on_record(session: Session) -> list[list[Any]]:
    return database.select_read_only(
        session.connection, "select trial, reason from trial_failures order by failed_at"
    )[1]


def test_odd_columns_are_trained_on_and_scored(open_odd: Callable, tmp_path: Path) -> None:
    candidates = {**USABLE, "hist_gradient_boosting": [{"max_leaf_nodes": 1}, {"max_iter": 10}]}
    session, _ = open_odd(candidates, list(TYPES))
    versions, rows = train(session)
    assert rows == ROWS
    row = registry.model_row(session, versions["propensity"])
    assert row["features"] == ["amount", "town", "street", "flag", "account", "turnover"]
    tried = [result.trial.name for result in recorded_trials(session, row["fingerprint"])]
    assert tried == [
        "logistic_regression-1", "random_forest-1", "hist_gradient_boosting-2", "xgboost-1",
    ]  # fmt: skip
    ((trial, reason),) = failures_on_record(session)
    assert trial == "hist_gradient_boosting-1"
    assert reason.startswith("InvalidParameterError: The 'max_leaf_nodes' parameter")
    assert "\n" not in reason
    found, text = training_summary(session, versions)
    assert found["failed_trials"] == {trial: reason}
    assert f"  {trial} failed: {reason}" in text.splitlines()
    card = render_card_markdown(read_card(session, versions["propensity"]))
    assert "These trials failed and were left out:" in card

    promote_by_hand(session, versions["propensity"], "cli:tests", "a test")
    night = write_loans(tmp_path / f"{NIGHT}.csv", ROWS + 1, np.random.default_rng(2))
    ingest_batch(session, NIGHT, str(night))
    score_batch(session, NIGHT)
    table = read_applications(session, NIGHT, 1, row["features"])
    model = registry.model_estimator(session, row)
    expected = model.predict_proba(feature_frame(table, session.contract, row["features"]))[:, 1]
    _, scores = database.select_read_only(
        session.connection, "select default_probability from current_scores order by loan_id"
    )
    assert [score for (score,) in scores] == pytest.approx(expected, abs=1e-12)


def test_training_in_tasks_goes_on_without_a_failed_trial(open_odd: Callable) -> None:
    candidates = {**FAILING, "logistic_regression": [{"C": 1}]}
    session, _ = open_odd(candidates, ["amount", "town"])
    plan = plan_training(session)
    for trial in plan.trials:
        assert try_trial(session, plan.fingerprint, trial) == ROWS
    assert recorded_failures(session, plan.fingerprint).keys() == {"random_forest-1", "xgboost-1"}
    versions, _ = finish_training(session, plan.fingerprint)
    metrics = registry.model_row(session, versions["propensity"])["metrics"]
    assert metrics["trial"] == "logistic_regression-1"


def test_another_trial_is_chosen_if_the_last_fit_of_the_chosen_one_fails(
    open_odd: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _ = open_odd({"logistic_regression": [{"C": 1}, {"C": 0.1}]}, ["amount", "town"])
    fit_chosen_trial = alternatives.fit_chosen_trial

    def fail_first(contract: Any, features: Any, chosen: TrialResult, *rest: Any, **more: Any):
        if chosen.trial.name == "logistic_regression-1":
            raise TrialError(chosen.trial, MemoryError("Unable to allocate 9 TiB\nfor an array"))
        return fit_chosen_trial(contract, features, chosen, *rest, **more)

    monkeypatch.setattr(alternatives, "fit_chosen_trial", fail_first)
    versions, _ = train(session)
    metrics = registry.model_row(session, versions["propensity"])["metrics"]
    assert metrics["trial"] == "logistic_regression-2"
    assert failures_on_record(session) == [
        ["logistic_regression-1", "MemoryError: Unable to allocate 9 TiB"]
    ]


def test_training_in_which_every_candidate_fails_is_one_line(
    open_odd: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    session, url = open_odd(FAILING, ["amount", "town"])
    assert main(["train", "--portfolio", "odd", "--database", url]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[-1].startswith(
        "loan-scoring: none of the 2 candidates of odd could be fitted: random_forest-1 failed with"
        " InvalidParameterError: The 'min_samples_leaf' parameter of RandomForestClassifier"
    )
    assert "run the training again" in told[-1]
    assert not any(line.startswith("Traceback") for line in told)
    # A failure may have passed meanwhile, so the trials are tried again.
    with pytest.raises(StateError, match="none of the 2 candidates"):
        train(session)
    assert [trial for trial, _ in failures_on_record(session)] == [
        "random_forest-1", "xgboost-1", "random_forest-1", "xgboost-1",
    ]  # fmt: skip


def test_applicants_who_are_alike_in_every_feature_are_one_line(
    open_odd: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    session, url = open_odd(USABLE, ["branch", "arrears"])
    assert main(["train", "--portfolio", "odd", "--database", url]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "loans of the training set of odd are alike in every feature" in line
    with pytest.raises(StateError, match="alike in every feature"):
        plan_training(session)
