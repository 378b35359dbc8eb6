"""Test that a model agrees with what its reasons say, and judge it.

A reason that says "too low" promises that a higher value lowers the probability of default.
"""

import numpy as np
import pyarrow as pa

from loan_scoring.contract import Contract
from loan_scoring.features.compute import compute_features
from loan_scoring.models.encoding import Columns, split_columns
from loan_scoring.models.promotion.gates import Gate
from loan_scoring.models.reasons import REASONS, ReasonText, reason_texts
from loan_scoring.models.scorer import Scorer
from loan_scoring.statistics.intervals import wilson

LOANS = 2000
"""At most so many loans are tested for each reason."""
GOOD_SHARE = 0.9
"""A number is moved to this quantile of the hold-out, or 1 less it, on the side that is told."""


def agreements(scorer: Scorer, table: pa.Table, scores: pa.Table) -> list[dict[str, object]]:
    """Return for each reason that says "too low" or "too high" how often the model agrees.

    Of the loans that were given the reason, the numbers for which it stands are moved the way that
    it tells, and the loans are scored again. All other features stay. A loan agrees if its
    probability falls. It does not agree if its number is on the good side already.

    Args:
        scorer: scorer of the model.
        table: loans of the hold-out that the model judges.
        scores: what the scorer returned for these loans.

    Returns:
        for each reason `reason`, `features`, `says`, `loans`, `agree` (share; None without loans),
        its 95 % interval `low` to `high`, and `mean_change` of the probability.
    """
    contract, features = scorer.contract, scorer.propensity_features
    told = [each for each in reason_texts(contract, features) if each.says is not None]
    if not told:
        return []
    columns = split_columns(compute_features(contract, table, features), contract, features)
    given = np.array([scores.column(name).to_numpy(zero_copy_only=False) for name in REASONS])
    probability = scores.column("default_probability").to_numpy()
    found: list[dict[str, object]] = []
    for reason in told:
        rows = np.flatnonzero((given == reason.text).any(axis=0))
        if len(rows) > LOANS:
            dice = np.random.default_rng(contract.training.seed)
            rows = np.sort(dice.choice(rows, LOANS, replace=False))
        described = {"reason": reason.text, "features": reason.features, "says": reason.says}
        if not len(rows):
            found.append(described | {"loans": 0, "agree": None})
            continue
        change = scorer.probabilities(_moved(columns, reason, rows)) - probability[rows]
        agree = int((change < 0).sum())
        low, high = wilson(agree, len(rows))
        found.append(
            described
            | {
                "loans": len(rows), "agree": agree / len(rows), "low": low, "high": high,
                "mean_change": float(change.mean()),
            }
        )  # fmt: skip
    return found


def _moved(columns: Columns, reason: ReasonText, rows: np.ndarray) -> Columns:
    """Return some rows with the numbers of a reason moved to the good side. Nulls stay."""
    numbers = dict(columns.take(rows).numbers)
    for name in reason.features:
        if reason.says == "too_low":
            good = np.nanquantile(columns.numbers[name], GOOD_SHARE)
            numbers[name] = np.maximum(numbers[name], good)
        else:
            good = np.nanquantile(columns.numbers[name], 1 - GOOD_SHARE)
            numbers[name] = np.minimum(numbers[name], good)
    taken = columns.take(rows)
    return Columns(taken.rows, numbers, taken.levels, taken.codes)


def truthful(contract: Contract, found: list[dict[str, object]]) -> Gate:
    """Judge whether the model agrees with each reason, given what `agreements` returned.

    A reason fails if the upper end of the 95 % interval of its share is below the contract's
    `reasons_agree`. A reason that no loan was given passes.
    """
    floor = contract.promotion.reasons_agree
    judged = [each for each in found if each["agree"] is not None]
    failed = [each for each in judged if float(str(each["high"])) < floor]
    phrases = [
        f"{each['reason']}: moved the other way, the probability falls for {each['agree']:.1%} of "
        f"{each['loans']} loans"
        for each in failed or judged
    ]
    side = "below" if failed else "not below"
    return Gate(
        "reasons",
        not failed,
        f"{'; '.join(phrases)}; {side} the floor of {floor:.0%}."
        if phrases
        else "No loan of the hold-out was given a reason that says too low or too high.",
        {"reasons_agree": floor, "reasons": found},
    )
