"""Give probabilities a grade, by the contract's scale or by one that training derived."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from string import ascii_uppercase
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring.contract import Contract
from loan_scoring.statistics.calibration import recalibrate
from loan_scoring.statistics.grades import (
    Step,
    hosmer_lemeshow,
    jeffreys_interval,
    jeffreys_p,
    merge_steps,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scale:
    """A rating scale: names of grades, and the limits between them, in ascending order.

    `pds` are the long-run default rates of derived grades. A declared scale has none.
    """

    names: list[str]
    limits: list[float]
    pds: list[float] | None = None

    def places(self, probability: np.ndarray) -> np.ndarray:
        """Return the index of each probability's grade, shape (rows,). That of nan is -1."""
        found = np.searchsorted(self.limits, probability, side="right")
        return np.where(np.isnan(probability), -1, found)

    def grades(self, probability: np.ndarray) -> pa.Array:
        """Return the grade of each probability. The grade of nan is null."""
        places = self.places(probability)
        return pa.array(self.names).take(pa.array(places, mask=places < 0))

    def as_json(self) -> list[dict[str, Any]]:
        """Return the scale as a list of grades with `grade`, `below` and `pd`."""
        return [
            {
                "grade": name,
                "below": self.limits[place] if place < len(self.limits) else None,
                "pd": self.pds[place] if self.pds else None,
            }
            for place, name in enumerate(self.names)
        ]


def scale_of(contract: Contract, evaluation: Mapping[str, Any] | None) -> Scale | None:
    """Return the scale by which a model's scores are graded.

    It is the one that the contract declares. If the contract has a number of grades, it is the one
    that was derived with the model. Return None if there is none.

    Args:
        contract: contract of the portfolio.
        evaluation: evaluation of the propensity model.
    """
    if isinstance(contract.grades, list):
        limits = [each.below for each in contract.grades if each.below is not None]
        return Scale([each.grade for each in contract.grades], limits)
    recorded = (evaluation or {}).get("grades")
    if contract.grades is None or not recorded or recorded["asked"] is None:
        return None
    grades = recorded["scale"]
    return Scale(
        [each["grade"] for each in grades],
        [each["below"] for each in grades[:-1]],
        [each["pd"] for each in grades],
    )


def fitted_scale(
    contract: Contract, steps: Sequence[Step] | None, slope: float, intercept: float, shift: float
) -> Scale | None:
    """Return the scale of a model that is being trained, or None if the contract has no grades.

    Args:
        contract: contract of the portfolio.
        steps: isotonic steps of the chosen trial's out-of-fold probabilities.
        slope: slope by which the log-odds were calibrated since, 1 if they were not.
        intercept: intercept of that calibration, with the shift to the target rate.
        shift: the shift alone, which also moves the default rates of the grades.
    """
    if not isinstance(contract.grades, int) or not steps:
        return scale_of(contract, None)
    merged = merge_steps(steps, contract.grades)
    if len(merged) < contract.grades:
        log.warning(
            "%s: %d grades instead of %d, as more would have too few loans or defaults",
            contract.portfolio, len(merged), contract.grades,
        )  # fmt: skip
    edges = [
        recalibrate(np.array([lower.highest, upper.lowest]), slope, intercept)
        for lower, upper in pairwise(merged)
    ]
    rates = np.array([step.defaults / step.loans for step in merged])
    return Scale(
        list(ascii_uppercase[: len(merged)]),
        [_between(float(low), float(high)) for low, high in edges],
        recalibrate(rates, 1.0, shift).tolist(),
    )


def _between(low: float, high: float) -> float:
    """Return a number above `low` and at most `high`, with as few decimals as possible."""
    middle = (low + high) / 2
    for decimals in range(3, 16):
        if low < round(middle, decimals) <= high:
            return round(middle, decimals)
    return high


def grade_figures(
    scale: Scale, y: np.ndarray, probability: np.ndarray, expected: np.ndarray
) -> dict[str, Any]:
    """Return the loans, PD and default rate of each grade, and the tests of the PDs, for JSON.

    Args:
        scale: scale of the grades.
        y: outcomes, 1 for default, shape (rows,).
        probability: probabilities by which loans are graded, shape (rows,).
        expected: probabilities with which these loans are expected to default, shape (rows,). They
            differ from `probability` by the shift to the target rate.
    """
    places, size = scale.places(probability), len(scale.names)
    loans, defaults = np.bincount(places, minlength=size), np.bincount(places, y, size)
    graded, predicted = np.bincount(places, probability, size), np.bincount(places, expected, size)
    rows = [
        grade_row(each, int(n), int(d), q / n if n else None, p / n if n else None)
        for each, n, d, q, p in zip(
            scale.as_json(), loans, defaults, graded, predicted, strict=True
        )
    ]
    return {"rows": rows, **overall_test(rows)}


def grade_row(
    grade: Mapping[str, Any], loans: int, defaults: int, mean: float | None, pd: float | None
) -> dict[str, Any]:
    """Return the figures of one grade: rates with Jeffreys' interval, and Jeffreys' test of the PD.

    Args:
        grade: what is known of the grade, such as its name and limit.
        loans: number of loans.
        defaults: number of loans that defaulted.
        mean: mean probability by which the loans were graded.
        pd: mean probability with which they were expected to default.
    """
    low, high = jeffreys_interval(defaults, loans)
    return {
        **grade,
        "loans": loans,
        "defaults": defaults,
        "mean_probability": mean,
        "expected": pd,
        "default_rate": defaults / loans if loans else None,
        "lower": low if loans else None,
        "upper": high if loans else None,
        "p_value": None if pd is None else jeffreys_p(defaults, loans, pd),
    }


def overall_test(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return `hosmer_lemeshow` over all grades, as a dictionary or None."""
    counted = [row for row in rows if row["loans"]]
    found = hosmer_lemeshow(*([row[name] for row in counted] for name in COUNTS))
    return {"hosmer_lemeshow": None if found is None else vars(found)}


COUNTS = ("loans", "defaults", "expected")
