"""On real loans that the model never saw: how near the estimate is, how often its interval holds.

The figures of docs/adr/0014 come from here:
LOAN_SCORING_SOURCE=FILE pytest -s -m bench tests/integration/test_estimated_on_real_loans.py
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import replay_loans
from loan_scoring.models import registry
from loan_scoring.models.promotion.decide import promote_by_hand
from loan_scoring.models.training.run import train
from loan_scoring.monitoring.performance.batch import ScoredBatch, read_scored_batch
from loan_scoring.monitoring.performance.estimated import (
    ESTIMATED_METRICS,
    estimate_metrics,
    metrics_of_draws,
)
from loan_scoring.monitoring.performance.figures import holdout_curve
from loan_scoring.scoring.batch import score_batch
from loan_scoring.statistics.bins import group_by_probability

pytestmark = [pytest.mark.bench, pytest.mark.integration]

BATCHES, LOANS = 20, 2000
DEALS = 10
"""Random splits of the loans into batches: twenty batches alone measure a rate too roughly."""
NIGHT = "2026-01-05"


def undrifted(
    real_loans: Path, url: str, landing: Path
) -> tuple[Contract, database.Row, ScoredBatch]:
    """Train on the history; score as one night the loans that twenty batches are drawn from."""
    with open_session("loan_default", url) as opened:
        raw = opened.contract.model_dump()
        raw["training"]["candidates"] = {
            "hist_gradient_boosting": [{"max_iter": 100, "learning_rate": 0.1}]
        }
        raw["training"]["folds"] = 2
        session = Session(Contract.model_validate(raw), opened.connection)
        drops = replay_loans(
            session.contract, source=str(real_loans), nights=1, per_night=52_000, landing=landing
        )
        ingest_batch(session, "history", drops.application_files["history"])
        versions, _ = train(session)
        promote_by_hand(session, versions["propensity"], "cli:tests", "to be measured")
        ingest_batch(session, NIGHT, drops.application_files[NIGHT])
        score_batch(session, NIGHT)
        take_outcomes(session, drops.outcome_files[0])
        run = database.row(session.connection, "select_current_run", batch_id=NIGHT)
        assert run is not None
        model = registry.model_row(session, versions["propensity"])
        return session.contract, model, read_scored_batch(session, run)


def test_estimate_is_near_and_its_interval_holds(
    real_loans: Path, new_database: Callable[..., str], tmp_path: Path
) -> None:
    contract, model, scored = undrifted(real_loans, new_database(), tmp_path)
    curve = holdout_curve(model)
    threshold, policy = contract.decision.decline_from, contract.performance
    dice = np.random.default_rng(1)
    errors: dict[str, list[float]] = {name: [] for name in ESTIMATED_METRICS}
    covered: dict[str, list[bool]] = {name: [] for name in ESTIMATED_METRICS}
    deals = [dice.permutation(len(scored.probability))[: BATCHES * LOANS] for _ in range(DEALS)]
    for rows in np.concatenate(deals).reshape(DEALS * BATCHES, LOANS):
        p = scored.probability[rows]
        bins = group_by_probability(p, threshold)
        seed = contract.training.seed
        told = estimate_metrics(p, bins, curve, threshold, policy.resamples, seed)
        defaults = np.bincount(bins.places, scored.outcome[rows], len(bins.loans))
        realised = metrics_of_draws(bins, threshold, defaults[None, :])
        for name, (value,) in realised.items():
            lower, upper = told[name].lower, told[name].upper
            assert lower is not None
            assert upper is not None
            errors[name].append(abs(told[name].value - value))
            covered[name].append(lower <= value <= upper)
    metrics = model["metrics"]
    lines = [
        f"hold-out: {metrics['rows']:,} loans, AUC {metrics['auc']:.4f}, calibration slope "
        f"{metrics['calibration_slope']:.3f}; {BATCHES} batches of {LOANS:,} loans",
        f"metric        mean error  covered   in {DEALS} deals of them",
    ]
    for name in ESTIMATED_METRICS:
        first = f"{np.mean(errors[name][:BATCHES]):10.4f}  {np.mean(covered[name][:BATCHES]):7.2f}"
        every = f"{np.mean(errors[name]):10.4f}  {np.mean(covered[name]):7.3f}"
        lines.append(f"{name:<13} {first}   {every}")
    sys.stdout.write("\n".join(["", *lines, ""]))
    # Chance alone makes the AUC of 2,000 loans err by 0.012.
    assert np.mean(errors["auc"]) < 0.015
    assert np.mean(covered["auc"][:BATCHES]) >= 0.8
    assert all(np.mean(each) >= 0.9 for each in covered.values())
