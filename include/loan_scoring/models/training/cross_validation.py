"""Cross-validate trials, choose one by the one-standard-error rule, and fit the chosen one."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import brier_score_loss, f1_score, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline

from loan_scoring.contract import Contract
from loan_scoring.models.estimators import Calibrated
from loan_scoring.models.training.candidates import Trial, build_candidate, fit_pipeline
from loan_scoring.statistics.calibration import slope_and_intercept

F1_THRESHOLD = 0.5
"""From this probability on, the F1 of a trial counts a loan as predicted to default."""


@dataclass(frozen=True)
class TrialResult:
    """The result of cross-validating a trial.

    `folds` has the metrics of each fold: auc, f1_paid, f1_default, brier, log_loss. Calibration
    slope and intercept are fitted to the out-of-fold predictions of all folds. `seconds` is wall
    time.
    """

    trial: Trial
    folds: list[dict[str, float]]
    calibration_slope: float
    calibration_intercept: float
    seconds: float

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over the folds."""
        return float(np.mean([fold[metric] for fold in self.folds]))

    @property
    def auc_standard_error(self) -> float:
        """The standard error of the mean AUC: standard deviation over the root of the folds."""
        found = [fold["auc"] for fold in self.folds]
        return float(np.std(found, ddof=1) / np.sqrt(len(found)))


def cross_validate(
    contract: Contract,
    features: Sequence[str],
    trial: Trial,
    X: pd.DataFrame,
    y: np.ndarray,
    recent: np.ndarray | None = None,
) -> TrialResult:
    """Cross-validate a trial in stratified folds, and return the result.

    Args:
        contract: the number of folds, and the seed of the split: the same for all trials.
        features: the columns of X to use.
        trial: what to fit.
        X: the training part, as `feature_frame` gives it.
        y: outcomes, 1 for default, shape (rows,).
        recent: loans that slope and intercept are fitted to, shape (rows,), bool; None for all.
    """
    started = time.monotonic()
    cut = StratifiedKFold(
        contract.training.folds, shuffle=True, random_state=contract.training.seed
    )
    predicted = np.empty(len(y))
    folds = []
    for learn, test in cut.split(X, y):
        pipeline = fit_pipeline(build_candidate(contract, features, trial), X.iloc[learn], y[learn])
        predicted[test] = pipeline.predict_proba(X.iloc[test])[:, 1]
        folds.append(fold_metrics(y[test], predicted[test]))
    used = slice(None) if recent is None else recent
    slope, intercept = slope_and_intercept(y[used], predicted[used])
    return TrialResult(trial, folds, slope, intercept, time.monotonic() - started)


def fold_metrics(y: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Return the metrics of a fold from outcomes and probabilities, shapes (rows,)."""
    defaults = probability >= F1_THRESHOLD
    return {
        "auc": float(roc_auc_score(y, probability)),
        "f1_paid": float(f1_score(1 - y, ~defaults, zero_division=0.0)),
        "f1_default": float(f1_score(y, defaults, zero_division=0.0)),
        "brier": float(brier_score_loss(y, probability)),
        "log_loss": float(log_loss(y, probability, labels=[0, 1])),
    }


def choose_trial(results: Sequence[TrialResult]) -> TrialResult:
    """Return the simplest trial whose mean AUC is within one standard error of the best.

    The one-standard-error rule (Breiman et al. 1984, 3.4.3). The simplest is the one that the
    contract declares first.
    """
    best = max(results, key=lambda each: (each.mean("auc"), -each.trial.place))
    enough = best.mean("auc") - best.auc_standard_error
    good = [each for each in results if each.mean("auc") >= enough]
    return min(good, key=lambda each: each.trial.place)


def fit_chosen_trial(
    contract: Contract,
    features: Sequence[str],
    chosen: TrialResult,
    X: pd.DataFrame,
    y: np.ndarray,
    *,
    has_changed: bool = False,
) -> Pipeline:
    """Fit the chosen trial to the whole training part, and calibrate it if its slope is off.

    After a detected change, it is calibrated in any case, on the loans from after it. Slope and
    intercept come from out-of-fold predictions: no loan calibrates a model that was fitted on it,
    and the hold-out takes no part.
    """
    pipeline = fit_pipeline(build_candidate(contract, features, chosen.trial), X, y)
    low, high = contract.training.calibration_slope
    is_good = low <= chosen.calibration_slope <= high and not has_changed
    if is_good or not np.isfinite(chosen.calibration_slope):
        return pipeline
    calibrated = Calibrated(pipeline[-1], chosen.calibration_slope, chosen.calibration_intercept)
    calibrated.classes_ = pipeline[-1].classes_
    return Pipeline([*pipeline.steps[:-1], ("classify", calibrated)])


def final_classifier(pipeline: Pipeline) -> Any:
    """Return the last step of a pipeline, without its calibration."""
    last = pipeline[-1]
    return last.classifier if isinstance(last, Calibrated) else last
