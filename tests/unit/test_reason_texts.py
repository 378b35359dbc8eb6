"""Reasons have codes and words by contract, are never what lowered the risk, and are tested."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from loan_scoring.contract import Contract
from loan_scoring.desk.letter import decline_letter
from loan_scoring.errors import StateError
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.row_rules import RowRules
from loan_scoring.lab.synthetic import generate_loans
from loan_scoring.models.encoding import feature_frame, split_columns
from loan_scoring.models.promotion.reasons_gate import agreements, truthful
from loan_scoring.models.reasons import REASONS, top_reasons
from loan_scoring.models.scorer import Scorer
from loan_scoring.models.training.candidates import Trial, build_candidate, fit_pipeline
from loan_scoring.models.training.personas import fit_personas

FEATURES = ["income_usd_per_month", "loan_amount_usd", "term_months"]
INCOME = {"code": "R01", "columns": ["income_usd_per_month"], "wording": "Income too low"}


def with_parts(contract: Contract, **parts: Any) -> Contract:
    return Contract.model_validate(contract.model_dump() | parts)


def given(contract: Contract, contributions: list[float], income: float | None) -> list[str | None]:
    table = pa.table(
        {
            "income_usd_per_month": pa.array([income], pa.float64()),
            "loan_amount_usd": pa.array([100.0]),
            "term_months": pa.array([360.0]),
        }
    )
    columns = split_columns(table, contract, FEATURES)
    found = top_reasons(contract, FEATURES, np.array([contributions]), columns)
    return [found[name][0].as_py() for name in REASONS]


def test_without_declared_reasons_the_labels_are_told(loan_default: Contract) -> None:
    expected = ["Term", "Monthly income", None, None]
    assert given(loan_default, [0.1, -0.2, 0.3], 1.0) == expected
    assert given(loan_default, [0.4, 0.0, 0.3], None)[0] == "Monthly income is missing"


def test_declared_reasons_have_codes_and_words(loan_default: Contract) -> None:
    contract = with_parts(loan_default, reasons=[INCOME])
    assert given(contract, [0.4, 0.0, 0.3], 1.0) == ["R01: Income too low", "Term", None, None]
    assert given(contract, [0.4, 0.0, 0.3], None)[0] == "R01: Monthly income is missing"
    own = with_parts(loan_default, reasons=[INCOME | {"missing": "Income not stated"}])
    assert given(own, [0.4, 0.0, 0.3], None)[0] == "R01: Income not stated"


def test_columns_of_one_reason_are_added_and_told_once(loan_default: Contract) -> None:
    both = INCOME | {"columns": ["income_usd_per_month", "loan_amount_usd"]}
    contract = with_parts(loan_default, reasons=[both])
    assert given(contract, [0.2, 0.2, 0.3], 1.0) == ["R01: Income too low", "Term", None, None]
    # The income raised the risk, but the reason as a whole lowered it.
    assert given(contract, [0.2, -0.3, 0.1], 1.0) == ["Term", None, None, None]


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        ([INCOME | {"columns": ["gender"]}], "reasons.0.columns: gender is protected"),
        ([INCOME | {"columns": ["loan_id"]}], "reasons.0.columns: loan_id is not a feature"),
        ([INCOME, INCOME | {"code": "R02"}], "columns 'income_usd_per_month' is declared twice"),
        ([INCOME, INCOME | {"columns": ["term_months"]}], "code 'R01' is declared twice"),
        ([INCOME | {"columns": ["region"]}], "region is protected"),
        ([INCOME | {"columns": ["loan_type"], "says": "too_low"}], "loan_type is not a number"),
        ([INCOME | {"code": "low income"}], "is not a valid code"),
    ],
)
def test_reasons_that_do_not_fit_are_refused(
    loan_default: Contract, reasons: list[dict[str, Any]], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        with_parts(loan_default, reasons=reasons)


@pytest.mark.parametrize(
    ("template", "told"),
    [("Sorry.", "reasons is missing"), ("$reasons $score", "no .score"), ("$reasons 5$", "alone")],
)
def test_letters_without_reasons_or_with_other_data_are_refused(
    loan_default: Contract, template: str, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        with_parts(loan_default, letter={"template": template})


@pytest.fixture(scope="module")
def scorer_and_table(loan_default: Contract) -> tuple[Scorer, pa.Table]:
    """A logistic regression on generated loans, and the loans that it judges."""
    table = generate_loans(loan_default, 4000, 7)
    typed, _ = RowRules(loan_default).apply(Block(table, np.arange(2, 4002), []))
    y = (table.column(loan_default.target.source).to_numpy(zero_copy_only=False) == "1").astype(int)
    names = [column.name for column in loan_default.features]
    X = feature_frame(typed, loan_default, names)
    trial = Trial("logistic_regression-1", 0, "logistic_regression", {"C": 1.0, "n_knots": 2})
    model = fit_pipeline(build_candidate(loan_default, names, trial), X, y)
    clusters, _ = fit_personas(loan_default, names, X.head(1000), y[:1000])
    words = [f"persona {n}" for n in range(clusters[-1].n_clusters)]
    scorer = Scorer(loan_default, model, names, clusters, names, words, [0.1] * len(words))
    judged = scorer.score(typed).column("exclusion_reason").is_null()
    return scorer, typed.filter(judged)


@pytest.mark.parametrize(("says", "is_true"), [("too_low", True), ("too_high", False)])
def test_gate_refuses_a_model_that_contradicts_its_reasons(
    scorer_and_table: tuple[Scorer, pa.Table], says: str, is_true: bool
) -> None:
    scorer, table = scorer_and_table
    contract = with_parts(scorer.contract, reasons=[INCOME | {"says": says}])
    scorer = Scorer(**{**scorer_fields(scorer), "contract": contract})
    found = agreements(scorer, table, scorer.score(table))
    assert [each["reason"] for each in found] == ["R01: Income too low"]
    assert found[0]["loans"] > 100
    gate = truthful(contract, found)
    assert gate.passed == is_true, gate.sentence
    assert (found[0]["mean_change"] < 0) == is_true
    anything = with_parts(contract, promotion={"reasons_agree": 0.0})
    assert truthful(anything, found).passed


def scorer_fields(scorer: Scorer) -> dict[str, Any]:
    return {name: getattr(scorer, name) for name in scorer.__dataclass_fields__}


def test_without_told_directions_there_is_nothing_to_test(
    scorer_and_table: tuple[Scorer, pa.Table],
) -> None:
    scorer, table = scorer_and_table
    assert agreements(scorer, table, scorer.score(table)) == []


RECORD: dict[str, Any] = {
    "loan_id": 7, "is_current": True, "decision": "decline", "person_decided_by": None,
    "person_decision": None, "reasons": ["R01: Income too low", "Term"],
    "scored_at": datetime(2026, 1, 5, 3, tzinfo=UTC), "default_probability": 0.8123,
    "propensity_version": "propensity-1", "algorithm": "XGBoost",
}  # fmt: skip


def test_letter_has_reasons_date_and_rights_and_nothing_of_the_model(
    loan_default: Contract,
) -> None:
    text = decline_letter(loan_default, RECORD)
    for part in ("- R01: Income too low\n- Term\n", "2026-01-05", "7", "person review"):
        assert part in text
    for part in ("0.81", "propensity", "XGBoost", "robabilit"):
        assert part not in text
    german = {"template": "$date\n$reasons", "date_format": "%d.%m.%Y"}
    translated = with_parts(loan_default, letter=german)
    assert decline_letter(translated, RECORD) == "05.01.2026\n- R01: Income too low\n- Term"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"decision": "review"}, "is review"),
        ({"is_current": False}, "no current score"),
        ({"person_decided_by": "airflow:ann", "person_decision": "approve"}, "airflow:ann decided"),
        ({"reasons": []}, "without a recorded reason"),
    ],
)
def test_no_letter_for_other_decisions(
    loan_default: Contract, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(StateError, match=told):
        decline_letter(loan_default, RECORD | change)
