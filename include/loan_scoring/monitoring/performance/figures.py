"""Calculate the rows of tables `performance` and `fairness` from the arrays of a batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from loan_scoring.contract import Contract
from loan_scoring.monitoring.performance.batch import ScoredBatch
from loan_scoring.monitoring.performance.estimated import estimate_metrics
from loan_scoring.monitoring.performance.loss import (
    ALL,
    approval_rate,
    decision_segments,
    draw_losses,
    expected_loss,
    exposures,
    losses,
    realised_loss,
    realised_loss_given_default,
)
from loan_scoring.monitoring.performance.realised import default_rate_by_decile, realised_metrics
from loan_scoring.statistics import fairness, group_differences
from loan_scoring.statistics.bins import group_by_probability
from loan_scoring.statistics.calibration_curve import AS_THEY_ARE, CalibrationCurve
from loan_scoring.statistics.intervals import Estimate

ESTIMATED, REALISED = "estimated", "realised"
DECILES = 10


@dataclass(frozen=True)
class PerformanceFigure:
    """A row of table `performance`: one metric of one segment of a batch.

    `baseline` is the metric on the hold-out. For a realised loss, `baseline` is the expected loss.
    """

    segment: str
    metric: str
    basis: str
    estimate: Estimate
    loans: int
    baseline: float | None = None


@dataclass(frozen=True)
class FairnessFigure:
    """A row of table `fairness`: one metric of the differences between groups.

    `decisions` says whose decisions are compared, as the column of the table does.
    """

    attribute: str
    metric: str
    estimate: Estimate
    groups: list[dict[str, Any]]
    decisions: str = "policy"


def figures_before_outcomes(
    contract: Contract, model: Mapping[str, Any], batch: ScoredBatch
) -> list[PerformanceFigure]:
    """Return the figures that need no outcomes: expected metrics, approval rate, expected loss.

    Return an empty list if no loan of the batch has a probability.

    Args:
        model: row of the propensity model that scored the batch.
    """
    p = batch.probability
    if not len(p):
        return []
    curve, threshold = holdout_curve(model), contract.decision.decline_from
    resamples, seed = contract.performance.resamples, contract.training.seed
    bins = group_by_probability(p, threshold)
    metrics = estimate_metrics(p, bins, curve, threshold, resamples, seed)
    found = [
        PerformanceFigure(ALL, name, ESTIMATED, each, len(p), model["metrics"].get(name))
        for name, each in metrics.items()
    ]
    true = curve.corrected(p)
    for segment, rows in decision_segments(batch.personas):
        approval = approval_rate(batch.approved[rows])
        holdout = approved_on_holdout(model["baseline"]) if segment == ALL else None
        loans = int(rows.sum())
        found.append(
            PerformanceFigure(segment, "approval_rate", ESTIMATED, approval, loans, holdout)
        )
        for metric, lent, exposure in _exposures(contract, batch, rows):
            drawn = draw_losses(bins.centres, bins.places[lent], exposure, curve, resamples, seed)
            loss = expected_loss(true[lent], exposure, drawn)
            found.append(PerformanceFigure(segment, metric, ESTIMATED, loss, len(exposure)))
    return found


def figures_after_outcomes(
    contract: Contract, model: Mapping[str, Any], batch: ScoredBatch
) -> list[PerformanceFigure]:
    """Return the figures that need outcomes: metrics, default rates by decile, realised loss.

    Loans without an outcome are left out.

    Args:
        model: row of the propensity model that scored the batch.
    """
    is_known, threshold = batch.known, contract.decision.decline_from
    y, p = batch.outcome[is_known].astype(int), batch.probability[is_known]
    resamples, seed = contract.performance.resamples, contract.training.seed
    found = [
        PerformanceFigure(ALL, name, REALISED, each, len(y), model["metrics"].get(name))
        for name, each in realised_metrics(y, p, threshold, resamples, seed).items()
    ]
    found += _deciles(model, y, p)
    true = holdout_curve(model).corrected(batch.probability)
    for segment, rows in decision_segments(batch.personas):
        for metric, lent, exposure in _exposures(contract, batch, rows & is_known):
            lost = losses(exposure, batch.amount[lent], batch.recovered[lent])
            loss = realised_loss(batch.outcome[lent], lost)
            expected = float(true[lent] @ exposure)
            found.append(
                PerformanceFigure(segment, metric, REALISED, loss, len(exposure), expected)
            )
    return found + _loss_given_default(contract, batch)


def _loss_given_default(contract: Contract, batch: ScoredBatch) -> list[PerformanceFigure]:
    """Return the realised loss given default, whose baseline is the contract's.

    Return an empty list if no defaulted loan has both an amount and a recovered amount.
    """
    if contract.business is None:
        return []
    told = (batch.outcome == 1) & ~np.isnan(batch.amount) & ~np.isnan(batch.recovered)
    found = realised_loss_given_default(batch.amount[told], batch.recovered[told])
    if found is None:
        return []
    baseline = contract.business.loss_given_default
    loans = int(told.sum())
    return [PerformanceFigure(ALL, "loss_given_default", REALISED, found, loans, baseline)]


def _deciles(model: Mapping[str, Any], y: np.ndarray, p: np.ndarray) -> list[PerformanceFigure]:
    """Return the default rate of the batch in each decile of the baseline's probabilities.

    Return an empty list if the baseline has no deciles. A decile without loans gets no figure.
    """
    edges = ((model["baseline"] or {}).get("default_probability") or {}).get("edges") or []
    if len(edges) != DECILES - 1:
        return []
    holdout = (model["evaluation"] or {}).get("deciles") or [{}] * DECILES
    return [
        PerformanceFigure(
            ALL,
            f"default_rate_decile_{place}",
            REALISED,
            each[0],
            each[1],
            baseline.get("observed"),
        )
        for place, (each, baseline) in enumerate(
            zip(default_rate_by_decile(y, p, edges), holdout, strict=True), start=1
        )
        if each is not None
    ]


def _exposures(
    contract: Contract, batch: ScoredBatch, rows: np.ndarray
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return the loans and exposures from which each loss metric is calculated.

    The metrics are `loss` (all loans) and `loss_of_approved`. Each entry has the metric's name, a
    mask of its loans, shape (rows,), and the amount that is lost on each of these loans if the loan
    defaults. Loans without an amount are left out. Return an empty list if the contract has no
    business policy.
    """
    if contract.business is None:
        return []
    found = []
    lendable = rows & ~np.isnan(batch.amount)
    for metric, lent in (("loss", lendable), ("loss_of_approved", lendable & batch.approved)):
        exposure = exposures(batch.amount[lent], contract.business.loss_given_default)
        found.append((metric, lent, exposure))
    return found


def holdout_curve(model: Mapping[str, Any]) -> CalibrationCurve:
    """Return the calibration curve of a model's hold-out.

    If the model has no curve, return the curve that leaves probabilities as they are.
    """
    curve = (model["evaluation"] or {}).get("calibration_curve")
    return CalibrationCurve(**curve) if curve else AS_THEY_ARE


def approved_on_holdout(baseline: Mapping[str, Any] | None) -> float | None:
    """Return the approval rate of the hold-out's scored loans.

    Return None if the baseline has no decisions on scored loans.
    """
    frozen = (baseline or {}).get("decision") or {}
    counts = dict(zip(frozen.get("levels", []), frozen.get("counts", []), strict=True))
    scored = sum(counts.values()) - counts.get("refer", 0)
    return counts.get("approve", 0) / scored if scored else None


def without_decisions(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's row without the hold-out's figures that depend on the decision thresholds.

    F1, precision and recall become None, and the baseline of the decisions is left out. Use this
    row for a scoring run whose decision policy differs from the model's, because the figures
    cannot be compared then.
    """
    metrics = {
        name: None if name in ("f1", "precision", "recall") else value
        for name, value in model["metrics"].items()
    }
    frozen = {name: each for name, each in (model["baseline"] or {}).items() if name != "decision"}
    return {**model, "metrics": metrics, "baseline": frozen}


def fairness_figures(
    contract: Contract, batch: ScoredBatch, is_mature: bool
) -> list[FairnessFigure]:
    """Return the differences in approval rate between the groups of each protected column.

    Once enough outcomes have arrived, the approval rates of paid loans and of defaults are compared
    too (equal odds).

    Groups with fewer loans than the contract's `min_group`, and levels that the contract does not
    count as a group, are listed in `groups` but not compared. A column with fewer than two groups
    to compare gets no figure.

    Args:
        is_mature: whether enough outcomes have arrived.
    """
    resamples, seed = contract.performance.resamples, contract.training.seed
    found = []
    for attribute, stated in batch.groups.items():
        known = batch.outcome if is_mature else np.full(len(stated), np.nan)
        groups = fairness.groups_in_order(
            contract.group_rule(attribute), stated, known, batch.approved
        )
        compared = [each["group"] for each in groups if each["left_out"] is None]
        if len(compared) < 2:
            continue
        if is_mature:
            metrics = group_differences.approval_differences(
                stated, compared, batch.outcome, batch.approved, resamples, seed
            )
        else:
            counts = group_differences.count_by_group(stated, compared, batch.approved)
            metrics = group_differences.demographic_parity(counts, resamples, seed)
        found += [FairnessFigure(attribute, name, each, groups) for name, each in metrics.items()]
    return found
