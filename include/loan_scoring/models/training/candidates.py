"""The candidates for the propensity model: declared, cross-validated, chosen by one rule."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, f1_score, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, SplineTransformer
from threadpoolctl import threadpool_limits

from loan_scoring.contract import Contract
from loan_scoring.models.estimators import Calibrated, XGBoost
from loan_scoring.statistics.calibration import slope_and_intercept

F1_THRESHOLD = 0.5
"""Probability of default from which the F1 of a trial takes a loan for one that defaults."""


@dataclass(frozen=True)
class Trial:
    """An algorithm with parameters, named ALGORITHM-NUMBER; `place` counts up in complexity."""

    name: str
    place: int
    algorithm: str
    parameters: dict[str, int | float]


@dataclass(frozen=True)
class TrialResult:
    """What cross-validation found of a trial.

    `folds` holds a dictionary of metrics for each fold: auc, f1_paid, f1_default, brier, log_loss.
    Calibration slope and intercept are those of all out-of-fold predictions together. `seconds`
    is wall time.
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
        """The standard error of the mean AUC: the folds' standard deviation by their root."""
        found = [fold["auc"] for fold in self.folds]
        return float(np.std(found, ddof=1) / np.sqrt(len(found)))


def declared_trials(contract: Contract) -> list[Trial]:
    """Return the declared trials, in the contract's order: from the simplest on."""
    declared = [
        (algorithm, number, parameters)
        for algorithm, several in contract.training.candidates.items()
        for number, parameters in enumerate(several, 1)
    ]
    return [
        Trial(f"{algorithm}-{number}", place, algorithm, parameters)
        for place, (algorithm, number, parameters) in enumerate(declared)
    ]


def build_candidate(contract: Contract, features: Sequence[str], trial: Trial) -> Pipeline:
    """Return the unfitted pipeline of a trial: encoding, then the classifier.

    Null is never guessed. Trees take it as missing; for the logistic regression it is a level of
    a category, and of a number a place outside of all its splines. A level that training never
    saw, or hardly, is missing or infrequent.
    """
    numbers = [name for name in features if contract.by_name[name].is_numeric]
    categories = [name for name in features if name not in numbers]
    parameters: dict[str, Any] = dict(trial.parameters)
    seed = contract.training.seed
    encode_numbers: Any = "passthrough"
    encode_categories: Any = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan
    )
    classifier: Any
    if trial.algorithm == "logistic_regression":
        encode_numbers = SplineTransformer(
            n_knots=parameters.pop("n_knots", 5),
            knots="quantile",
            extrapolation="constant",
            handle_missing="zeros",
        )
        encode_categories = OneHotEncoder(
            min_frequency=20, handle_unknown="infrequent_if_exist", sparse_output=False
        )
        classifier = LogisticRegression(solver="newton-cholesky", max_iter=1000, **parameters)
    elif trial.algorithm == "random_forest":
        classifier = RandomForestClassifier(
            **{"n_estimators": 100, "max_samples": 0.5, **parameters}, random_state=seed
        )
    elif trial.algorithm == "hist_gradient_boosting":
        classifier = HistGradientBoostingClassifier(
            early_stopping=False,
            categorical_features=list(range(len(numbers), len(features))),
            random_state=seed,
            **parameters,
        )
    else:
        classifier = XGBoost(random_state=seed, **parameters)
    encode = ColumnTransformer(
        [("numbers", encode_numbers, numbers), ("categories", encode_categories, categories)]
    )
    return Pipeline([("encode", encode), ("classify", classifier)])


def fit_pipeline(pipeline: Pipeline, X: pd.DataFrame, y: np.ndarray) -> Pipeline:
    """Fit a pipeline and return it, the same bit for bit however many cores there are.

    On one thread: threads would add numbers up in the order in which they happen to end.
    """
    with threadpool_limits(limits=1):
        pipeline.fit(X, y)
    if isinstance(pipeline[-1], LogisticRegression):
        # What its contributions are measured from.
        pipeline[-1].means_ = np.asarray(pipeline[0].transform(X)).mean(axis=0)
    return pipeline


def cross_validate(
    contract: Contract,
    features: Sequence[str],
    trial: Trial,
    X: pd.DataFrame,
    y: np.ndarray,
    recent: np.ndarray | None = None,
) -> TrialResult:
    """Return what stratified k-fold cross-validation finds of a trial.

    Args:
        contract: the number of folds, and the seed that cuts them: the same for every trial.
        features: the columns of X to use.
        trial: what to fit.
        X: the training part, as `features.frame` gives it.
        y: outcomes, 1 for default, shape (rows,).
        recent: the loans that calibration is told by, shape (rows,), bool; all, where it is None.
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
        folds.append(_measure(y[test], predicted[test]))
    told = slice(None) if recent is None else recent
    slope, intercept = slope_and_intercept(y[told], predicted[told])
    return TrialResult(trial, folds, slope, intercept, time.monotonic() - started)


def _measure(y: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    defaults = probability >= F1_THRESHOLD
    return {
        "auc": float(roc_auc_score(y, probability)),
        "f1_paid": float(f1_score(1 - y, ~defaults, zero_division=0.0)),
        "f1_default": float(f1_score(y, defaults, zero_division=0.0)),
        "brier": float(brier_score_loss(y, probability)),
        "log_loss": float(log_loss(y, probability, labels=[0, 1])),
    }


def choose_trial(results: Sequence[TrialResult]) -> TrialResult:
    """Return the simplest trial whose mean AUC is within one standard error of the best one's.

    The one-standard-error rule (Breiman et al. 1984, 3.4.3); simplest is what the contract
    declares first.
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
    """Fit the chosen trial to the whole training part, calibrated where its slope is off.

    And where the world has changed, to the loans since. Slope and intercept come from out-of-fold
    predictions: no loan calibrates a model that was fitted on it, and the hold-out takes no part.
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
    """Return the classifier at a pipeline's end, without its calibration."""
    last = pipeline[-1]
    return last.classifier if isinstance(last, Calibrated) else last


def render_trials(results: Sequence[TrialResult], chosen: str) -> str:
    """Return the trials as a table, in the order of complexity, with a star at the chosen one."""
    lines = [
        f"  {'trial':<26}{'AUC':>8}{'+-SE':>8}{'F1 paid':>9}{'F1 def.':>9}{'Brier':>8}"
        f"{'log loss':>10}{'slope':>7}{'seconds':>9}  parameters"
    ]
    for each in sorted(results, key=lambda result: result.trial.place):
        star = "*" if each.trial.name == chosen else " "
        told = ", ".join(f"{name} {value:g}" for name, value in each.trial.parameters.items())
        lines.append(
            f"{star} {each.trial.name:<26}{each.mean('auc'):>8.4f}{each.auc_standard_error:>8.4f}"
            f"{each.mean('f1_paid'):>9.4f}{each.mean('f1_default'):>9.4f}"
            f"{each.mean('brier'):>8.4f}{each.mean('log_loss'):>10.4f}"
            f"{each.calibration_slope:>7.3f}{each.seconds:>9.1f}  {told}"
        )
    folds = len(results[0].folds) if results else 0
    return "\n".join([*lines, f"  means of {folds} folds; F1 at a probability of {F1_THRESHOLD:g}"])
