"""Cut off the last cohorts, which no fit sees, and describe a model by cohort.

A random hold-out has the same months as the training set, so it does not show what time does to a
model. The last cohorts do (docs/adr/0044).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from loan_scoring.contract import Contract
from loan_scoring.statistics.auc import delong
from loan_scoring.statistics.calibration import finite_or_none, fit_calibration_line
from loan_scoring.statistics.fairness import Z95
from loan_scoring.statistics.intervals import wilson
from loan_scoring.statistics.psi import score_psi

MIN_EACH = 30
"""Minimum number of defaults, and of paid loans, of the last cohorts, and for an AUC.

With fewer, the normal approximation of the AUC's interval does not hold.
"""
MOST_ROWS = 16
"""Cohorts are shown by day, month, quarter or year: the first with at most so many rows."""


@dataclass(frozen=True)
class OutOfTime:
    """The first day of the last cohorts, or None with the reason why none are cut off."""

    first: np.datetime64 | None
    reason: str | None = None

    def members(self, days: np.ndarray) -> np.ndarray:
        """Return True for each loan of the last cohorts, shape (rows,)."""
        if self.first is None:
            return np.zeros(len(days), dtype=bool)
        return np.asarray(days >= self.first)


def cut_out_of_time(
    contract: Contract, days: np.ndarray, y: np.ndarray, since: str | None = None
) -> OutOfTime:
    """Return from which cohort on loans are kept from every fit.

    Args:
        contract: contract with `training.out_of_time`.
        days: cohort of each loan, datetime64[D], NaT if it is not known, shape (rows,).
        y: outcomes, 1 for default, shape (rows,).
        since: first batch of a change, or None.
    """
    policy = contract.training.out_of_time
    if policy is None:
        return OutOfTime(None, "the contract declares no training.out_of_time")
    if since is not None:
        return OutOfTime(
            None, f"since the change of {since}, all later loans are needed for the calibration"
        )
    cohorts, loans = np.unique(days[~np.isnat(days)], return_counts=True)
    if not len(cohorts):
        return OutOfTime(
            None,
            "no loan has a date: all are of batch history, and the contract declares no "
            "outcomes.counted_from",
        )
    if policy.batches is not None:
        first = cohorts[-min(policy.batches, len(cohorts))]
    elif policy.days is not None:
        first = cohorts[-1] - np.timedelta64(policy.days - 1, "D")
    else:
        assert policy.share is not None  # noqa: S101 - the contract has exactly one of the three
        from_last = np.cumsum(loans[::-1])[::-1]
        enough = np.flatnonzero(from_last >= policy.share * len(days))
        first = cohorts[enough[-1] if len(enough) else 0]
    is_last = days >= first
    if is_last.all():
        return OutOfTime(None, "all loans are of the last cohorts")
    defaults = int(y[is_last].sum())
    if min(defaults, int(is_last.sum()) - defaults) < MIN_EACH:
        return OutOfTime(
            None,
            f"the {int(is_last.sum()):,} loans since {first} have {defaults} defaults; "
            f"{MIN_EACH} defaulted and {MIN_EACH} paid loans are needed",
        )
    return OutOfTime(first)


def describe_out_of_time(
    y: np.ndarray, probability: np.ndarray, of_holdout: np.ndarray
) -> dict[str, Any]:
    """Return the figures of a model on the last cohorts, ready for JSON.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities, shape (rows,).
        of_holdout: predicted probabilities of the hold-out, with which the score is compared.
    """
    value, error = delong(y, probability)
    rate = float(np.mean(y))
    line = fit_calibration_line(y, probability)
    return {
        "rows": len(y),
        "auc": value,
        "auc_interval": [value - Z95 * error, min(value + Z95 * error, 1.0)],
        "default_rate": rate,
        "default_rate_interval": list(wilson(rate * len(y), len(y))),
        "mean_probability": float(np.mean(probability)),
        "calibration": {name: finite_or_none(each) for name, each in asdict(line).items()},
        **score_psi(of_holdout, probability),
    }


def describe_vintages(
    days: np.ndarray, is_last: np.ndarray, y: np.ndarray, probability: np.ndarray
) -> list[dict[str, Any]]:
    """Return default rate, mean probability and AUC of each cohort, the oldest first.

    Loans without a date are one cohort, with `cohort` None. A cohort has an AUC if it has MIN_EACH
    defaults and MIN_EACH paid loans.

    Args:
        days: cohort of each loan, shape (rows,). The loans were seen by no fit.
        is_last: whether each loan is out of time, shape (rows,).
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities, shape (rows,).
    """
    names = np.where(np.isnat(days), "", vintage_names(days))
    found = []
    for name in sorted(set(names.tolist())):
        for part in (False, True):
            rows = (names == name) & (is_last == part)
            loans, defaults = int(rows.sum()), int(y[rows].sum())
            if not loans:
                continue
            has_auc = min(defaults, loans - defaults) >= MIN_EACH
            found.append(
                {
                    "cohort": name or None,
                    "is_out_of_time": part,
                    "loans": loans,
                    "default_rate": defaults / loans,
                    "default_rate_interval": list(wilson(defaults, loans)),
                    "mean_probability": float(probability[rows].mean()),
                    "auc": delong(y[rows], probability[rows])[0] if has_auc else None,
                }
            )
    return found


def vintage_names(days: np.ndarray) -> np.ndarray:
    """Return the name of each loan's cohort, shape (rows,): a day, month, quarter or year.

    >>> vintage_names(np.array(["2026-01-05", "2026-01-06"], "datetime64[D]")).tolist()
    ['2026-01-05', '2026-01-06']
    """
    known = days[~np.isnat(days)]
    months = days.astype("datetime64[M]")
    years = days.astype("datetime64[Y]").astype(str)
    if len(np.unique(known)) <= MOST_ROWS:
        return days.astype(str)
    if len(np.unique(known.astype("datetime64[M]"))) <= MOST_ROWS:
        return months.astype(str)
    quarter = (months.astype(int) % 12 // 3 + 1).astype(str)
    quarters = np.char.add(np.char.add(years, "-Q"), quarter)
    if len(np.unique(quarters[~np.isnat(days)])) <= MOST_ROWS:
        return quarters
    return years
