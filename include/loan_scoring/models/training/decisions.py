"""Derive the scale of a model, and count on its hold-out what grades and cut-offs do."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.pipeline import Pipeline

from loan_scoring.contract import Contract
from loan_scoring.models.estimators import Calibrated
from loan_scoring.models.grading import Scale, fitted_scale, grade_figures
from loan_scoring.models.long_run import before_shift, shift_of
from loan_scoring.models.numbers import as_floats
from loan_scoring.models.scorer import Scorer
from loan_scoring.models.training.cross_validation import TrialResult
from loan_scoring.statistics.cutoffs import approved_below, threshold_grid


def scale_of_fit(
    contract: Contract, model: Pipeline, chosen: TrialResult, long_run: dict[str, float] | None
) -> Scale | None:
    """Return the scale of a model that was just fitted, or None if the contract has no grades.

    A derived scale comes from the out-of-fold probabilities of the training set, so the hold-out
    can test it.

    Args:
        contract: contract of the portfolio.
        model: fitted pipeline, after calibration.
        chosen: result of the chosen trial.
        long_run: what `move_to_rate` returned, or None.
    """
    last = model[-1]
    slope, intercept = 1.0, 0.0
    if isinstance(last, Calibrated):
        slope, intercept = last.slope, last.intercept
    return fitted_scale(contract, chosen.steps, slope, intercept, shift_of({"long_run": long_run}))


def evaluate_decisions(
    scorer: Scorer, holdout: pa.Table, scores: pa.Table, long_run: dict[str, float] | None
) -> dict[str, Any]:
    """Return `grades`, `cutoffs` and `long_run` of an evaluation, ready for JSON.

    Only counts and sums of amounts are recorded. So the contract's loss given default and margin
    may change without a training.

    Args:
        scorer: scorer that scores batches with this model.
        holdout: scorable loans of the hold-out, with `is_default`.
        scores: what the scorer returned for these loans.
        long_run: what `move_to_rate` returned, or None.
    """
    contract = scorer.contract
    y = holdout.column("is_default").to_numpy().astype(int)
    probability = scores.column("default_probability").to_numpy()
    expected = before_shift({"long_run": long_run}, probability)
    grid = threshold_grid(probability, contract.decision.model_dump().values())
    amount = None
    if contract.business is not None and contract.business.amount in holdout.column_names:
        amount = as_floats(holdout.column(contract.business.amount))
    found: dict[str, Any] = {
        "cutoffs": {
            "loans": len(y),
            "without_amount": None if amount is None else int(np.isnan(amount).sum()),
            "rows": [
                asdict(each) for each in approved_below(y, probability, grid, amount, expected)
            ],
        }
    }
    if scorer.scale is not None:
        found["grades"] = {
            "asked": contract.grades if isinstance(contract.grades, int) else None,
            "scale": scorer.scale.as_json(),
            **grade_figures(scorer.scale, y, probability, expected),
        }
    return found if long_run is None else found | {"long_run": long_run}
