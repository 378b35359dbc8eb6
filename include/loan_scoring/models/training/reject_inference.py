"""Use declined applicants, who have no outcome, in the fit: reweighting and parcelling.

Neither shows how declined applicants would have repaid. Reweighting assumes that applicants who are
alike in every column default alike, approved or not. Parcelling assumes the factor that the
contract states (docs/adr/0038).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.model_selection import StratifiedKFold

from loan_scoring.contract import KEY, Contract
from loan_scoring.models.encoding import feature_frame
from loan_scoring.models.holdout import split_holdout
from loan_scoring.models.scorer import exclusion_reasons
from loan_scoring.models.training.applicants import Applicants
from loan_scoring.models.training.candidates import (
    RARE_LOANS,
    Trial,
    build_candidate,
    fit_pipeline,
)

CLIPPED = 99.0
"""Weights above this percentile of all weights are set to it (Cole and Hernán 2008)."""

SELECTION = Trial("selection", 0, "logistic_regression", {"C": 1.0})
"""The model of the weights: it tells applicants with an outcome from declined ones.

It is a logistic regression on splines: boosting follows the noise of the selection, and inverse
weights magnify it.
"""

SEPARATION = Trial(
    "separation", 0, "hist_gradient_boosting", {"max_iter": 100, "learning_rate": 0.1}
)
"""The model of the card's AUC. It also sees approvals that depend on columns together."""


@dataclass(frozen=True)
class Rejects:
    """What reject inference adds to a fit.

    - `weights` of the labelled loans, for reweighting, shape (rows of the training set,).
    - `X` are the features of declined applicants, for parcelling. Each stands for `each` of them.
    - Their outcomes are drawn with `seed` from `factor` times a probability.
    """

    weights: np.ndarray | None = None
    X: pd.DataFrame | None = None
    each: float = 1.0
    factor: float = 1.0
    seed: int = 0

    def draw(self, probability: np.ndarray) -> np.ndarray:
        """Return an outcome for each declined applicant, 1 for default, shape (declined,).

        The same applicant gets the same random number in every fold.
        """
        dice = np.random.default_rng(self.seed)
        return (dice.random(len(probability)) < self.factor * probability).astype(int)


def with_rejects(
    X: pd.DataFrame,
    y: np.ndarray,
    learn: np.ndarray,
    rejects: Rejects | None,
    probability: np.ndarray | None,
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray | None]:
    """Return the rows of a fit: features, outcomes, and weights or None.

    Args:
        X: features of the training set.
        y: outcomes of the training set, 1 for default, shape (rows,).
        learn: row indices of the training set on which the fit is done.
        rejects: reject inference, or None.
        probability: calibrated probability of default of each declined applicant, for parcelling.
    """
    if rejects is None:
        return X.iloc[learn], y[learn], None
    if rejects.X is None or probability is None:
        return X.iloc[learn], y[learn], None if rejects.weights is None else rejects.weights[learn]
    weights = np.concatenate([np.ones(len(learn)), np.full(len(rejects.X), rejects.each)])
    rows = pd.concat([X.iloc[learn], rejects.X], ignore_index=True)
    return rows, np.concatenate([y[learn], rejects.draw(probability)]), weights


def declined_to_learn(contract: Contract, declined: pa.Table) -> pa.Table:
    """Return the declined applicants that a fit may read: judged, and not in the hold-out."""
    judged = exclusion_reasons(contract, declined).is_null().to_numpy(zero_copy_only=False)
    learn, _ = split_holdout(contract, declined.column(KEY))
    return declined.take(pa.array(learn[judged[learn]]))


def infer_rejects(
    contract: Contract, features: Sequence[str], applicants: Applicants, X: pd.DataFrame
) -> Rejects | None:
    """Return what declined applicants add to the fit. None if they add nothing.

    Args:
        contract: contract with `training.reject_inference`.
        features: names of the columns of `X`.
        applicants: applicants of the training.
        X: features of the training set.
    """
    policy = contract.training
    if policy.reject_inference == "none" or applicants.declined is None:
        return None
    declined = declined_to_learn(contract, applicants.declined)
    each = applicants.counts["declined"] / applicants.declined.num_rows
    of_declined = feature_frame(declined, contract, features)
    if len(of_declined) < RARE_LOANS:
        return None
    if policy.reject_inference == "parcelling":
        return Rejects(None, of_declined, each, policy.parcelling_factor, policy.seed)
    probability, _ = labelled_probabilities(contract, features, X, of_declined, each)
    return Rejects(weights=inverse_weights(probability))


def labelled_probabilities(
    contract: Contract,
    features: Sequence[str],
    X: pd.DataFrame,
    of_declined: pd.DataFrame,
    each: float,
    trial: Trial = SELECTION,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of having an outcome, of the labelled loans and of declined ones.

    The probability of each row comes from a model that was not fitted on this row. Both have shape
    (rows,).

    Args:
        contract: contract with folds and seed.
        features: names of the columns of both tables.
        X: features of labelled loans.
        of_declined: features of declined applicants.
        each: how many declined applicants each of their rows stands for.
        trial: algorithm and parameters of the models.
    """
    both = pd.concat([X, of_declined], ignore_index=True)
    has_outcome = np.repeat([1, 0], [len(X), len(of_declined)])
    weights = np.where(has_outcome == 1, 1.0, each)
    found = np.empty(len(both))
    policy = contract.training
    folds = StratifiedKFold(policy.folds, shuffle=True, random_state=policy.seed)
    for learn, test in folds.split(both, has_outcome):
        model = build_candidate(contract, features, trial)
        fit_pipeline(model, both.iloc[learn], has_outcome[learn], weights[learn])
        found[test] = model.predict_proba(both.iloc[test])[:, 1]
    return found[: len(X)], found[len(X) :]


def inverse_weights(probability: np.ndarray) -> np.ndarray:
    """Return the weights 1 / probability, clipped at their 99th percentile, with a mean of 1.

    >>> inverse_weights(np.array([0.5, 0.25, 0.25, 1.0])).round(2)
    array([0.73, 1.45, 1.45, 0.36])
    """
    weights = 1 / probability
    weights = np.minimum(weights, np.percentile(weights, CLIPPED))
    return np.asarray(weights / weights.mean())


def effective_sample_size(weights: np.ndarray) -> float:
    """Return (sum of weights)^2 / sum of squared weights (Kish 1965).

    >>> effective_sample_size(np.array([1.0, 1.0, 1.0, 1.0]))
    4.0
    """
    return float(weights.sum() ** 2 / (weights**2).sum())
