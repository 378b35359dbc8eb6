"""Lending with outcomes of approved loans only: nights of all applicants do not look drifted.

The figures of docs/adr/0038 come from here:
LOAN_SCORING_SOURCE=FILE pytest -s -m bench tests/integration/test_baseline_of_applicants.py
"""

import os
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from loan_scoring.contract import Contract
from loan_scoring.lab.calibrate.pool import read_labelled_loans
from loan_scoring.models.baseline import read_baseline_sample, watched_columns
from loan_scoring.models.fitted import FittedModel
from loan_scoring.models.scorer import Scorer
from loan_scoring.models.training.applicants import NO_OTHERS, Applicants
from loan_scoring.models.training.candidates import declared_trials
from loan_scoring.models.training.cross_validation import TrialResult
from loan_scoring.models.training.fit import fit_pair
from loan_scoring.models.training.rows import TrainingRows
from loan_scoring.monitoring.drift.compare import FittedBaseline, compare_columns
from loan_scoring.monitoring.drift.decide import decide_drift

pytestmark = [pytest.mark.bench, pytest.mark.integration]

BATCHES = 10


@pytest.fixture(scope="module")
def loans(loan_default: Contract) -> tuple[Contract, pa.Table]:
    """All loans in random order, and the contract with outcomes of approved loans only."""
    raw = loan_default.model_dump()
    raw["outcomes"] = {"known_for": "approved"}
    raw["training"] |= {
        "candidates": {"hist_gradient_boosting": [{"max_iter": 100, "learning_rate": 0.1}]},
        "resamples": 100,
        "personas": 3,
    }
    contract = Contract.model_validate(raw)
    source = os.environ.get("LOAN_SCORING_SOURCE")
    found = read_labelled_loans(contract, source, 40_000)
    table = found.typed.append_column("is_default", pa.array(found.outcome == 1))
    order = np.random.default_rng(11).permutation(table.num_rows)
    return contract, table.take(pa.array(order))


def fit(
    contract: Contract, labelled: pa.Table, applicants: Applicants
) -> tuple[FittedModel, Scorer]:
    features = [column.name for column in contract.features]
    training = TrainingRows("f", labelled, [], {}, features, applicants=applicants)
    trial = declared_trials(contract)[0]
    chosen = TrialResult(trial, [{"auc": 0.8}, {"auc": 0.8}], 1.0, 0.0, 1.0)
    model, personas = fit_pair(contract, training, chosen)
    named = [(each["name"], each["default_rate"]) for each in personas.metrics["personas"]]
    scorer = Scorer(
        contract, model.estimator, model.features, personas.estimator, personas.features,
        [name for name, _ in named], [rate for _, rate in named],
    )  # fmt: skip
    return model, scorer


def alarms(contract: Contract, model: FittedModel, scorer: Scorer, batch: pa.Table) -> list[str]:
    assert model.baseline is not None
    assert model.baseline_sample is not None
    sample = read_baseline_sample(model.baseline_sample)
    fitted = FittedBaseline.fit(contract, model.baseline, sample)
    found: Any = [
        *compare_columns(contract, fitted, watched_columns(batch), fitted.inputs),
        *compare_columns(contract, fitted, scorer.score(batch), fitted.outputs),
        *fitted.together(contract.monitoring, batch),
    ]
    return [each.comparison.feature for each in decide_drift(contract.monitoring, found)[1]]


def test_undrifted_batches_do_not_alarm_if_outcomes_are_of_approved_loans_only(
    loans: tuple[Contract, pa.Table],
) -> None:
    contract, table = loans
    size = table.num_rows // 75  # 1,982 loans of the real file
    old, period, rest = (
        table.slice(0, 6 * size), table.slice(6 * size, 49 * size), table.slice(55 * size)
    )  # fmt: skip
    _, former = fit(contract, old, NO_OTHERS)  # the policy by which loans were approved
    probability = former.score(period).column("default_probability").to_numpy()
    approved = pa.array(np.nan_to_num(probability, nan=1.0) < np.nanquantile(probability, 0.69))
    labelled, everyone = period.filter(approved), period.drop_columns(["is_default"])
    declined = period.filter(pc.invert(approved)).drop_columns(["is_default"])
    counts = {
        "applicants": period.num_rows,
        "labelled": labelled.num_rows,
        "declined": declined.num_rows,
    }
    shown = {}
    for name, applicants in (
        ("approved loans only", NO_OTHERS),
        ("all applicants", Applicants(everyone, declined, counts)),
    ):
        model, scorer = fit(contract, labelled, applicants)
        found = [
            alarms(
                contract, model, scorer, rest.slice(place * size, size).drop_columns(["is_default"])
            )
            for place in range(BATCHES)
        ]
        shown[name] = sum(map(bool, found))
        sys.stdout.write(f"\nbaseline of {name}: {shown[name]} of {BATCHES} batches alarm {found}")
    assert shown == {"approved loans only": BATCHES, "all applicants": 0}
