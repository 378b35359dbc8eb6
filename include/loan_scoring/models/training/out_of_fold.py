"""Predict each loan of the training set by a model that was not fitted on this loan."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from loan_scoring.contract import Contract
from loan_scoring.models.training.candidates import Trial, build_candidate, fit_pipeline
from loan_scoring.models.training.reject_inference import Rejects, with_rejects
from loan_scoring.statistics.calibration import recalibrate, slope_and_intercept

Relabel = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""A function that returns what a classifier learns for some rows: labels, and weights.

The rows are given as indices of the training set, so that every fold has labels and weights from
its own rows.
"""


def predict_out_of_fold(
    contract: Contract,
    features: Sequence[str],
    trial: Trial,
    X: pd.DataFrame,
    y: np.ndarray,
    recent: np.ndarray | None = None,
    rejects: Rejects | None = None,
    relabel: Relabel | None = None,
) -> np.ndarray:
    """Return the probability of each loan by a model not fitted on this loan, shape (rows,).

    The probabilities are not calibrated. `cross_validate` describes the arguments.
    """
    of_declined = predict_declined(contract, features, trial, X, y, recent, rejects)
    predicted = np.empty(len(y))
    for fold, (learn, test) in enumerate(cut_folds(contract, X, y)):
        pipeline = build_candidate(contract, features, trial)
        inferred = None if of_declined is None else of_declined[fold]
        if relabel is None:
            fit_pipeline(pipeline, *with_rejects(X, y, learn, rejects, inferred))
        else:
            labels, weights = relabel(learn)
            fit_pipeline(pipeline, X.iloc[learn], y[learn], weights, labels)
        predicted[test] = pipeline.predict_proba(X.iloc[test])[:, 1]
    return predicted


def cut_folds(contract: Contract, X: pd.DataFrame, y: np.ndarray) -> Iterator[Any]:
    """Return the row indices of the learning part and the test part of each fold."""
    training = contract.training
    folds = StratifiedKFold(training.folds, shuffle=True, random_state=training.seed)
    return iter(folds.split(X, y))


def predict_declined(
    contract: Contract,
    features: Sequence[str],
    trial: Trial,
    X: pd.DataFrame,
    y: np.ndarray,
    recent: np.ndarray | None,
    rejects: Rejects | None,
) -> np.ndarray | None:
    """Return the calibrated probabilities of declined applicants, shape (folds, declined).

    The probabilities of a fold are those of the trial as fitted without declined applicants on the
    learning part of the fold, so that no outcome of its test part is in them. Slope and intercept
    of the calibration come from all folds. Return None if no outcomes are to be drawn.
    """
    if rejects is None or rejects.X is None:
        return None
    predicted, of_declined = np.empty(len(y)), []
    for learn, test in cut_folds(contract, X, y):
        pipeline = build_candidate(contract, features, trial)
        fit_pipeline(pipeline, X.iloc[learn], y[learn])
        predicted[test] = pipeline.predict_proba(X.iloc[test])[:, 1]
        of_declined.append(pipeline.predict_proba(rejects.X)[:, 1])
    used = slice(None) if recent is None else recent
    slope, intercept = slope_and_intercept(y[used], predicted[used])
    found = np.array(of_declined)
    return recalibrate(found, slope, intercept) if np.isfinite(slope) else found
