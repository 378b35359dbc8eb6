"""Find what a classifier learns under each kind of mitigation: labels, and weights of the loans."""

import warnings
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from threadpoolctl import threadpool_limits

from loan_scoring.contract import Contract
from loan_scoring.models.training.candidates import Trial, build_candidate
from loan_scoring.models.training.disparity import compared_groups
from loan_scoring.models.training.out_of_fold import Relabel
from loan_scoring.statistics.calibration import recalibrate
from loan_scoring.statistics.labels import Labels
from loan_scoring.statistics.mitigation import (
    EVENTS,
    NO_GROUP,
    labels_and_weights,
    reweighing,
    signed_weights,
)

Multipliers = dict[tuple[int | None, int], float]
"""The multiplier of each constraint, by event and index of the group, as for `signed_weights`."""

LARGEST_MULTIPLIERS = 10.0
"""The largest sum of all multipliers in the search.

One point of a rate then counts as much as ten points of the cost, which is at most one point for
each loan. Larger multipliers give predictors that approve nobody of a group or all.
"""


def group_places(
    contract: Contract, attribute: str, labels: Labels
) -> tuple[list[str], np.ndarray]:
    """Return the compared groups, and the index of each row's group or NO_GROUP, shape (rows,)."""
    compared = compared_groups(contract, attribute, labels)
    place = np.array([compared.index(e) if e in compared else NO_GROUP for e in labels.names])
    return compared, place[labels.codes]


def relabel_by_reweighing(y: np.ndarray, group: np.ndarray) -> Relabel:
    """Return the rule of reweighing: outcomes as they are, weights from group and outcome.

    Args:
        y: outcomes of the training set, 1 for default, shape (rows,).
        group: index of each row's group, or NO_GROUP, shape (rows,).
    """

    def relabel(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return y[rows], reweighing(y[rows], group[rows])

    return relabel


def describe_weights(names: list[str], y: np.ndarray, group: np.ndarray) -> dict[str, Any]:
    """Return the weight of paid and of defaulted loans of each group, ready for JSON."""
    weights = reweighing(y, group)
    return {
        "weights": [
            {
                "group": name,
                **{
                    outcome: float(of[0]) if len(of) else None
                    for outcome, of in (
                        ("paid", weights[(group == place) & (y == 0)]),
                        ("defaulted", weights[(group == place) & (y == 1)]),
                    )
                },
            }
            for place, name in enumerate(names)
        ],
        "not_compared": int(np.sum(group == NO_GROUP)),
    }


def relabel_by_multipliers(
    y: np.ndarray,
    group: np.ndarray,
    threshold: float,
    multipliers: Multipliers,
) -> Relabel:
    """Return the rule of one predictor of an exponentiated gradient, by its multipliers.

    Args:
        y: outcomes of the training set, 1 for default, shape (rows,).
        group: index of each row's group, or NO_GROUP, shape (rows,).
        threshold: probability from which on loans are not approved.
        multipliers: as for `signed_weights`.
    """

    def relabel(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cost = signed_weights(y[rows], group[rows], threshold, multipliers)
        return labels_and_weights(cost, threshold)

    return relabel


class Thresholded(ClassifierMixin, BaseEstimator):
    """A classifier that predicts default from a threshold on, for costs of its two errors.

    Fairlearn weighs loans by these costs. The weights are divided by them again, see
    `labels_and_weights`.
    """

    def __init__(self, classifier: Any, threshold: float) -> None:
        """Take an unfitted classifier, and the probability from which on it predicts default."""
        self.classifier = classifier
        self.threshold = threshold

    def fit(self, X: np.ndarray, y: pd.Series, sample_weight: pd.Series) -> Self:
        """Fit a copy of the classifier to fairlearn's labels and weights."""
        cost = np.where(y == 1, 1, -1) * np.asarray(sample_weight)
        self.fitted_ = clone(self.classifier)
        labels, weights = labels_and_weights(cost, self.threshold)
        self.fitted_.fit(X, labels, sample_weight=weights)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return 1 for each row that is not approved, shape (rows,)."""
        probability = np.asarray(self.fitted_.predict_proba(X)[:, 1])
        return np.asarray(probability >= self.threshold, dtype=int)


def search_multipliers(
    contract: Contract,
    features: list[str],
    trial: Trial,
    X: pd.DataFrame,
    y: np.ndarray,
    group: np.ndarray,
    threshold: float,
) -> tuple[list[Multipliers], dict[str, Any]]:
    """Return multipliers that fairlearn's exponentiated gradient finds, and figures of the search.

    Exponentiated gradient gives a lottery over predictors. Each of them is the trial's classifier,
    fitted to labels and weights that its multipliers determine. Returned are the multipliers of the
    predictors in the lottery, and those of the dual solution, to which one predictor responds best.
    The hold-out is not read.

    Args:
        contract: contract with `training.mitigation`.
        features: names of the columns of X to use.
        trial: trial whose classifier is fitted.
        X: training set, as `feature_frame` returns it.
        y: outcomes, 1 for default, shape (rows,).
        group: index of each row's group, or NO_GROUP, shape (rows,).
        threshold: probability from which on loans are not approved.

    Returns:
        the multipliers, and figures of the search, ready for JSON.
    """
    from fairlearn.reductions import ErrorRate, ExponentiatedGradient

    policy = contract.training.mitigation
    assert policy is not None  # noqa: S101 - the search runs only where the contract has it
    pipeline = build_candidate(contract, features, trial)
    search = ExponentiatedGradient(
        Thresholded(pipeline[-1], threshold),
        approval_parity(policy.measure, policy.difference_bound),
        objective=ErrorRate(costs={"fp": threshold, "fn": 1 - threshold}),
        eps=1 / LARGEST_MULTIPLIERS,
        max_iter=policy.iterations,
    )
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # fairlearn 0.15 writes to Series in ways that pandas 4 will no longer allow.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="fairlearn")
        search.fit(np.asarray(pipeline[0].fit_transform(X, y)), pd.Series(y),
                   sensitive_features=pd.Series(group))  # fmt: skip
    vectors = [search.lambda_vecs_[place] for place, share in search.weights_.items() if share > 0]
    if len(search.lambda_vecs_LP_.columns):
        vectors.append(search.lambda_vecs_LP_.iloc[:, -1])
    found = [_signed(vector) for vector in vectors]
    distinct = [each for place, each in enumerate(found) if each not in found[:place]]
    return [each for each in distinct if any(each.values())], {
        "fits": int(search.n_oracle_calls_),
        "predictors": int((search.weights_ > 0).sum()),
        "gap": float(search.best_gap_),
        "difference_bound": policy.difference_bound,
    }


def _signed(vector: pd.Series) -> Multipliers:
    """Return fairlearn's multipliers as the positive minus the negative side of each constraint."""
    return {
        (None if event == "all" else int(event), int(each)): float(value)
        for (event, each), value in (vector["+"] - vector["-"]).items()
    }


def approval_parity(measure: str, difference_bound: float) -> Any:
    """Return fairlearn's constraint for a measure, without the rows whose group is not compared.

    Args:
        measure: a measure of `training.mitigation`.
        difference_bound: how far a group's rate may be from the rate of all.
    """
    from fairlearn.reductions import UtilityParity

    class ApprovalParity(UtilityParity):
        """Parity of approval in the events of a measure. Rows in no event are not constrained."""

        def load_data(self, X: Any, y: Any, *, sensitive_features: Any) -> None:
            is_compared = sensitive_features != NO_GROUP
            event = pd.Series("all", index=y.index) if EVENTS[measure] == (None,) else y.astype(str)
            if EVENTS[measure] == (0,):
                is_compared &= y == 0
            super().load_data(
                X, y, event=event.where(is_compared), sensitive_features=sensitive_features
            )

    return ApprovalParity(difference_bound=difference_bound)


def effective_threshold(contract: Contract, shift: float) -> float:
    """Return the threshold of approval for probabilities before their shift to a long-run rate."""
    below = np.array([contract.decision.approve_below])
    return float(recalibrate(below, 1.0, -shift)[0])
