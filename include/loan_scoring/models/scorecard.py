"""Fit a scorecard, and describe it: bins with counts, default rates, evidence and points."""

from itertools import pairwise
from typing import Any, Self

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from loan_scoring.contract import Contract
from loan_scoring.models.binning import BinnedLevels, BinnedNumbers
from loan_scoring.models.estimators import Calibrated
from loan_scoring.models.layout import encoded_features, fitted_parts


class Scorecard(LogisticRegression):
    """A logistic regression on weights of evidence in which no coefficient is negative.

    More evidence of default must not lower the probability. So the column with the lowest
    coefficient is left out, one after the other, until all coefficients are positive. `left_out_`
    has the indices of these columns, and `wrong_` the coefficient that each had.
    """

    coef_: np.ndarray

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Self:
        """Fit the regression. Columns that are left out have the coefficient 0.

        Args:
            X: weights of evidence, shape (rows, columns).
            y: outcomes, 1 for default, shape (rows,).
            sample_weight: weights of the rows, shape (rows,). If None, all count the same.

        Raises:
            ValueError: no column is left.
        """
        kept = list(np.flatnonzero(np.ptp(X, axis=0) > 0))
        self.left_out_ = [place for place in range(X.shape[1]) if place not in kept]
        self.wrong_ = [0.0] * len(self.left_out_)
        while kept:
            super().fit(X[:, kept], y, sample_weight)
            lowest = int(np.argmin(self.coef_[0]))
            if self.coef_[0, lowest] > 0:
                break
            self.left_out_.append(int(kept.pop(lowest)))
            self.wrong_.append(float(self.coef_[0, lowest]))
        if not kept:
            raise ValueError("no column tells defaulted from paid loans")
        coefficients = np.zeros((1, X.shape[1]))
        coefficients[0, kept] = self.coef_[0]
        self.coef_, self.n_features_in_ = coefficients, X.shape[1]
        return self


def describe_scorecard(contract: Contract, pipeline: Pipeline) -> dict[str, Any] | None:
    """Return all figures of a fitted scorecard, ready for JSON. None for any other model.

    The log-odds of default are `intercept` plus the `log_odds` of each column's bin. The score is
    the sum of the columns' points, and equals offset - factor * log-odds (Siddiqi 2006, chapter 6).

    Args:
        contract: contract with the labels and the policy of the points.
        pipeline: fitted pipeline.
    """
    model, slope, shift = pipeline[-1], 1.0, 0.0
    if isinstance(model, Calibrated):
        model, slope, shift = model.classifier, model.slope, model.intercept
    if not isinstance(model, Scorecard):
        return None
    policy = contract.training.scorecard
    factor = policy.pdo / np.log(2)
    offset = policy.base_score - factor * np.log(policy.base_odds)
    intercept = float(model.intercept_[0] * slope + shift)
    names = encoded_features(pipeline[0])
    parts = [(part, place) for part, columns in fitted_parts(pipeline[0])
             for place in range(len(columns))]  # fmt: skip
    wrong = dict(zip(model.left_out_, model.wrong_, strict=True))
    start = (offset - factor * intercept) / (len(names) - len(wrong))
    columns = []
    for nth, (name, (part, place)) in enumerate(zip(names, parts, strict=True)):
        column = contract.by_name[name]
        coefficient = float(model.coef_[0, nth] * slope)
        loans, defaults, woe = part.loans_[place], part.defaults_[place], part.woe_[place]
        log_odds = coefficient * woe
        points = log_odds * 0 if nth in wrong else start - factor * log_odds
        columns.append(
            {
                "column": name,
                "label": column.label,
                "direction": column.direction,
                "coefficient": coefficient,
                "information_value": information_value(loans, defaults),
                "left_out": None if nth not in wrong else _reason(wrong[nth]),
                "bins": [
                    {
                        **limits,
                        "loans": int(loans[row]),
                        "share": float(loans[row] / loans.sum()),
                        "defaults": int(defaults[row]),
                        "default_rate": float(defaults[row] / loans[row]) if loans[row] else None,
                        "woe": float(woe[row]),
                        "log_odds": float(log_odds[row]),
                        "points": float(points[row]),
                    }
                    for row, limits in enumerate(_limits(part, place))
                ],
            }
        )
    return {
        **policy.model_dump(),
        "factor": float(factor),
        "offset": float(offset),
        "intercept": intercept,
        "columns": columns,
    }


def _reason(coefficient: float) -> str:
    if coefficient == 0:
        return "its bins do not differ"
    return f"wrong sign: coefficient {coefficient:.3f} beside the other columns"


def information_value(loans: np.ndarray, defaults: np.ndarray) -> float:
    """Return the information value of a column: how far apart its bins hold defaulted and paid.

    It is the sum over bins of (share of defaults - share of paid loans) * ln(ratio of these shares)
    (Kullback's divergence). A bin counts as if it had half a loan more of each outcome.

    Args:
        loans: number of loans in each bin, shape (bins,).
        defaults: number of these that defaulted, shape (bins,).
    """
    used = loans > 0
    bad, good = defaults[used] + 0.5, (loans - defaults)[used] + 0.5
    bad, good = bad / bad.sum(), good / good.sum()
    return float(np.sum((bad - good) * np.log(bad / good)))


def _limits(part: BinnedNumbers | BinnedLevels, place: int) -> list[dict[str, Any]]:
    """Return what makes a value belong to each bin: `from` and `below`, `equals`, `levels` ..."""
    if isinstance(part, BinnedNumbers):
        ends = [None, *part.cuts_[place], None]
        return [
            *({"from": low, "below": high} for low, high in pairwise(ends)),
            *({"equals": float(code)} for code in part.special_codes[place]),
            {"is_null": True},
        ]
    groups = part.groups_[place]
    return [
        *(
            {
                "levels": [
                    level for level, group in zip(part.categories_[place], groups, strict=True)
                    if group == nth
                ]
            }
            for nth in range(max(groups, default=-1) + 1)
        ),
        {"is_other": True},
        {"is_null": True},
    ]  # fmt: skip
