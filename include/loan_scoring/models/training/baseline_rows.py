"""Compute the baseline of a model from all applicants of the period, with an outcome or not.

A night has all applicants. If outcomes are known for approved loans only, their inputs and scores
differ from those of a night, and every night would look drifted (docs/adr/0038).
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import KEY, Contract
from loan_scoring.models.baseline import PREDICTIONS, fit_baseline, watched_columns
from loan_scoring.models.holdout import split_holdout
from loan_scoring.models.scorer import Scorer


def baseline_of_applicants(
    scorer: Scorer, applicants: pa.Table, learnt: pa.ChunkedArray
) -> tuple[pa.Table, dict[str, Any]]:
    """Return the rows of the baseline and the baseline, if some applicants have no outcome.

    The predictions are those of the applicants in the hold-out, which no fit has seen, whether they
    have an outcome or not.

    Args:
        scorer: scorer that scores batches with the model.
        applicants: random sample of all applicants of the period.
        learnt: keys of the loans of the training set. An old loan of the hold-out may be among
            them.
    """
    contract = scorer.contract
    _, holdout = split_holdout(contract, applicants.column(KEY))
    is_holdout = np.zeros(applicants.num_rows, dtype=bool)
    is_holdout[holdout] = True
    is_learnt = pc.is_in(applicants.column(KEY), value_set=learnt.combine_chunks())
    is_holdout &= ~is_learnt.to_numpy()
    scores = scorer.score(applicants.filter(pa.array(is_holdout)))
    return baseline_of_labelled(contract, applicants, is_holdout, scores)


def baseline_of_labelled(
    contract: Contract, table: pa.Table, is_holdout: np.ndarray, scores: pa.Table
) -> tuple[pa.Table, dict[str, Any]]:
    """Return the rows of the baseline and the baseline, given the scores of the hold-out.

    The baseline of inputs is computed from all rows. Excluded applications are included, because a
    batch contains such applications, too. The baseline of predictions is computed from the hold-out
    only. The reason is that a model's scores on the rows of its own fit spread wider than its
    scores on a batch.

    In the returned rows, the predictions are null outside the hold-out.

    Args:
        contract: contract of the portfolio.
        table: applications of the period, with all monitored columns.
        is_holdout: mask of the hold-out, shape (rows,).
        scores: what the scorer returned for the hold-out, in the order of the rows.
    """
    watched = [each.name for each in contract.monitored if each.name in table.column_names]
    inputs = watched_columns(table.select(watched))
    scored = scores.select(list(PREDICTIONS))
    baseline = fit_baseline(contract, inputs) | fit_baseline(contract, scored)
    place = np.where(is_holdout, np.cumsum(is_holdout) - 1, -1)
    rows = pa.array(place, mask=place < 0)
    for name in scored.column_names:
        inputs = inputs.append_column(name, scored.column(name).take(rows))
    return inputs.append_column("is_holdout", pa.array(is_holdout)), baseline
