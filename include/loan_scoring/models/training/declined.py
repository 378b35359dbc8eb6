"""Describe what is not known about declined applicants, and what was done about it."""

from typing import Any

import numpy as np
import pandas as pd

from loan_scoring.models.encoding import feature_frame
from loan_scoring.models.scorer import Scorer
from loan_scoring.models.training.applicants import Applicants
from loan_scoring.models.training.candidates import RARE_LOANS
from loan_scoring.models.training.reject_inference import (
    SEPARATION,
    Rejects,
    declined_to_learn,
    effective_sample_size,
    labelled_probabilities,
)
from loan_scoring.statistics.auc import auc


def describe_declined(
    scorer: Scorer,
    applicants: Applicants,
    X: pd.DataFrame,
    y: np.ndarray,
    rejects: Rejects | None,
) -> dict[str, Any]:
    """Return {"declined": figures}, ready for JSON. Empty if every loan can have an outcome.

    - `applicants`: declined applicants without an outcome in the batches of the training.
    - `read`: those that were read, sampled, and neither excluded nor in the hold-out.
    - `auc`: how well the inputs tell them from the loans with an outcome, out of sample. 0.5 means
      that they are alike. None if there are too few.
    - `mean_probability`: what the model predicts for them on average.
    - `default_rate`: observed, of the loans with an outcome in the training set.
    - `method`: `none`, `reweighting` or `parcelling`; `none` also if there are too few to infer.
    - `effective_loans`, `highest_weight`: of the weighted training set, if reweighted.
    - `factor`: of parcelling, if used.

    Args:
        scorer: scorer that scores batches with the model.
        applicants: applicants of the training.
        X: features of the training set.
        y: outcomes of the training set, 1 for default, shape (rows,).
        rejects: what was added to the fit, or None.
    """
    contract, features = scorer.contract, scorer.propensity_features
    if contract.outcomes.known_for == "all":
        return {}
    found: dict[str, Any] = {
        "applicants": applicants.counts.get("declined", 0),
        "read": 0,
        "auc": None,
        "mean_probability": None,
        "default_rate": float(np.mean(y)),
        "method": "none" if rejects is None else contract.training.reject_inference,
    }
    if applicants.declined is not None:
        declined = declined_to_learn(contract, applicants.declined)
        found["read"] = declined.num_rows
        if declined.num_rows >= RARE_LOANS:
            of_declined = feature_frame(declined, contract, features)
            each = applicants.counts["declined"] / applicants.declined.num_rows
            parts = labelled_probabilities(contract, features, X, of_declined, each, SEPARATION)
            has_outcome = np.repeat([1, 0], [len(part) for part in parts])
            found["auc"] = float(auc(has_outcome, np.concatenate(parts)))
            predicted = scorer.score(declined).column("default_probability").to_numpy()
            found["mean_probability"] = float(np.mean(predicted))
    if rejects is not None and rejects.weights is not None:
        found["effective_loans"] = effective_sample_size(rejects.weights)
        found["highest_weight"] = float(rejects.weights.max())
    if rejects is not None and rejects.X is not None:
        found["factor"] = rejects.factor
    return {"declined": found}
