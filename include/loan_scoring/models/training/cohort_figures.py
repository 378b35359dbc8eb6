"""Measure a fitted model on the last cohorts, and by cohort."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from loan_scoring.models.out_of_time import describe_out_of_time, describe_vintages
from loan_scoring.models.scorer import Scorer

if TYPE_CHECKING:
    from loan_scoring.models.training.fit import TrainingParts


def measure_cohorts(
    scorer: Scorer, table: pa.Table, parts: "TrainingParts", of_holdout: np.ndarray
) -> dict[str, Any]:
    """Return `out_of_time` and `vintages` of an evaluation, measured on loans that no fit saw.

    `vintages` is missing if no loan has a date. `out_of_time` has the `first` day and the figures
    of the last cohorts, or the `reason` why there are none.

    Args:
        scorer: scorer that scores batches with the model.
        table: rows of the training.
        parts: the same rows, split.
        of_holdout: probabilities of `parts.test`, shape (rows of `parts.test`,).
    """
    first, y = parts.out_of_time.first, parts.y
    found: dict[str, Any] = {"reason": parts.out_of_time.reason}
    of_last = np.empty(0)
    if len(parts.last):
        scores = scorer.score(table.take(pa.array(parts.last)))
        of_last = scores.column("default_probability").to_numpy()
        found = {"first": str(first), "last": str(np.nanmax(parts.days))}
        found |= describe_out_of_time(y[parts.last], of_last, of_holdout)
    seen = np.concatenate([parts.test, parts.last])
    if np.isnat(parts.days[seen]).all():
        return {"out_of_time": found}
    is_last = np.arange(len(seen)) >= len(parts.test)
    probability = np.concatenate([of_holdout, of_last])
    vintages = describe_vintages(parts.days[seen], is_last, y[seen], probability)
    return {"out_of_time": found, "vintages": vintages}
