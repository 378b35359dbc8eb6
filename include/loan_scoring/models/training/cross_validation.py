"""Cross-validate trials, and choose and fit a trial by the one-standard-error rule."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import brier_score_loss, f1_score, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline

from loan_scoring.contract import Contract
from loan_scoring.errors import StateError
from loan_scoring.models.estimators import Calibrated
from loan_scoring.models.training.candidates import Trial, build_candidate, fit_pipeline
from loan_scoring.models.training.disparity import (
    Counts,
    count_approvals,
    near_best,
    would_approve,
)
from loan_scoring.models.training.out_of_fold import (
    Relabel,
    cut_folds,
    predict_declined,
    predict_out_of_fold,
)
from loan_scoring.models.training.reject_inference import Rejects, with_rejects
from loan_scoring.statistics.calibration import slope_and_intercept
from loan_scoring.statistics.grades import Step, isotonic_steps
from loan_scoring.statistics.labels import Labels

F1_THRESHOLD = 0.5
"""For F1, a loan is predicted to default if its probability is at least this threshold."""


LONGEST_REASON = 300
"""The largest number of characters of a reason. A longer reason is cut."""


class TrialError(StateError):
    """A trial could not be fitted or measured. `reason` is one line: type and text of the error."""

    def __init__(self, trial: Trial, error: Exception) -> None:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        self.trial = trial
        self.reason = ": ".join([type(error).__name__, *lines[:1]])[:LONGEST_REASON]
        super().__init__(f"{trial.name} failed: {self.reason}")


@dataclass(frozen=True)
class TrialResult:
    """The result of cross-validating a trial.

    `folds` has the metrics of each fold: `auc`, `f1_paid`, `f1_default`, `brier` and `log_loss`.
    Calibration slope and intercept are fitted to the out-of-fold predictions. `seconds` is the
    elapsed time of the cross-validation. `steps` are the isotonic steps of the out-of-fold
    predictions, before calibration, or None if the contract has no grades derived. `fairness` has
    the approvals by group, or is None if they were not counted.
    """

    trial: Trial
    folds: list[dict[str, float]]
    calibration_slope: float
    calibration_intercept: float
    seconds: float
    steps: list[Step] | None = None
    fairness: Counts | None = None

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over the folds."""
        return float(np.mean([fold[metric] for fold in self.folds]))

    @property
    def auc_standard_error(self) -> float:
        """The standard error of the mean AUC.

        This is the standard deviation of the folds' AUC, divided by the square root of the number
        of folds.
        """
        found = [fold["auc"] for fold in self.folds]
        return float(np.std(found, ddof=1) / np.sqrt(len(found)))


def cross_validate(
    contract: Contract,
    features: Sequence[str],
    trial: Trial,
    X: pd.DataFrame,
    y: np.ndarray,
    recent: np.ndarray | None = None,
    rejects: Rejects | None = None,
    groups: Mapping[str, Labels] | None = None,
    relabel: Relabel | None = None,
) -> TrialResult:
    """Cross-validate a trial in stratified folds, and return the result.

    Every figure is measured on loans with outcomes. Declined applicants with inferred outcomes are
    used for fitting only.

    Args:
        contract: contract with the number of folds and the random seed. All trials get the same
            folds.
        features: names of the columns of X to use.
        trial: trial to cross-validate.
        X: training set, as `feature_frame` returns it.
        y: outcomes, 1 for default, shape (rows,).
        recent: mask of the loans to which slope and intercept are fitted, shape (rows,). If None,
            slope and intercept are fitted to all loans.
        rejects: reject inference, or None.
        groups: group of each row by protected attribute, shape (rows,) each. If None, approvals by
            group are not counted.
        relabel: labels and weights that are learnt instead of the outcomes, or None.

    Raises:
        TrialError: a fold cannot be fitted or measured.
    """
    started = time.monotonic()
    with as_error_of(trial):
        predicted = predict_out_of_fold(contract, features, trial, X, y, recent, rejects, relabel)
        folds = [fold_metrics(y[test], predicted[test]) for _, test in cut_folds(contract, X, y)]
        used = np.ones(len(y), dtype=bool) if recent is None else recent
        slope, intercept = slope_and_intercept(y[used], predicted[used])
        has_grades = isinstance(contract.grades, int)
        steps = isotonic_steps(y[used], predicted[used]) if has_grades else None
        fairness = None
        if groups is not None:
            calibration = calibration_of(contract, slope, intercept, not used.all())
            fairness = count_approvals(
                contract,
                {name: labels.among(used) for name, labels in groups.items()},
                y[used],
                would_approve(contract, predicted[used], calibration),
            )
    seconds = time.monotonic() - started
    return TrialResult(trial, folds, slope, intercept, seconds, steps, fairness)


@contextmanager
def as_error_of(trial: Trial) -> Iterator[None]:
    """Raise any error inside the block as a TrialError, so that the other trials can go on."""
    try:
        yield
    except Exception as error:
        raise TrialError(trial, error) from error


def fold_metrics(y: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Return the metrics of one fold.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities of default, shape (rows,).
    """
    defaults = probability >= F1_THRESHOLD
    return {
        "auc": float(roc_auc_score(y, probability)),
        "f1_paid": float(f1_score(1 - y, ~defaults, zero_division=0.0)),
        "f1_default": float(f1_score(y, defaults, zero_division=0.0)),
        "brier": float(brier_score_loss(y, probability)),
        "log_loss": float(log_loss(y, probability, labels=[0, 1])),
    }


def choose_trial(results: Sequence[TrialResult]) -> TrialResult:
    """Return the simplest trial whose mean AUC is within one standard error of the best mean AUC.

    This is the one-standard-error rule (Breiman et al. 1984, 3.4.3). A trial counts as simpler than
    the trials that the contract declares after it.
    """
    return min(near_best(results), key=lambda each: each.trial.place)


def calibration_of(
    contract: Contract, slope: float, intercept: float, has_changed: bool
) -> tuple[float, float] | None:
    """Return slope and intercept with which a model is calibrated. None if it is not.

    A model is calibrated if the slope is outside the contract's limits, or if a change was
    detected, but never if the slope could not be computed.
    """
    low, high = contract.training.calibration_slope
    is_good = low <= slope <= high and not has_changed
    return None if is_good or not np.isfinite(slope) else (slope, intercept)


def fit_chosen_trial(
    contract: Contract,
    features: Sequence[str],
    chosen: TrialResult,
    X: pd.DataFrame,
    y: np.ndarray,
    *,
    has_changed: bool = False,
    recent: np.ndarray | None = None,
    rejects: Rejects | None = None,
    relabel: Relabel | None = None,
) -> Pipeline:
    """Fit the chosen trial to the whole training set, and calibrate the model if necessary.

    The model is calibrated if the trial's calibration slope is outside the contract's limits, or
    if a change was detected. Slope and intercept come from `cross_validate`, where each
    loan is predicted by a model that was not fitted on this loan. The hold-out is not used. After
    a change, slope and intercept are fitted only to the loans since the change. The model is not
    calibrated if the slope could not be computed.

    Args:
        contract: contract with the limits of the calibration slope.
        features: names of the columns of X to use.
        chosen: result of the chosen trial.
        X: training set, as `feature_frame` returns it.
        y: outcomes, 1 for default, shape (rows,).
        has_changed: whether a change in the applicants or their defaults was detected.
        recent: as in `cross_validate`.
        rejects: reject inference, or None. Outcomes of declined applicants are drawn from the mean
            of the folds' probabilities.
        relabel: as in `cross_validate`.

    Raises:
        TrialError: the trial cannot be fitted to the whole training set.
    """
    trial = chosen.trial
    with as_error_of(trial):
        unfitted, everyone = build_candidate(contract, features, trial), np.arange(len(y))
        if relabel is None:
            of_declined = predict_declined(contract, features, trial, X, y, recent, rejects)
            inferred = None if of_declined is None else of_declined.mean(axis=0)
            pipeline = fit_pipeline(unfitted, *with_rejects(X, y, everyone, rejects, inferred))
        else:
            labels, weights = relabel(everyone)
            pipeline = fit_pipeline(unfitted, X, y, weights, labels)
    calibration = calibration_of(
        contract, chosen.calibration_slope, chosen.calibration_intercept, has_changed
    )
    if calibration is None:
        return pipeline
    calibrated = Calibrated(pipeline[-1], *calibration)
    calibrated.classes_ = pipeline[-1].classes_
    return Pipeline([*pipeline.steps[:-1], ("classify", calibrated)])


def final_classifier(pipeline: Pipeline) -> Any:
    """Return the classifier of a pipeline. If the classifier is calibrated, unwrap it."""
    last = pipeline[-1]
    return last.classifier if isinstance(last, Calibrated) else last
