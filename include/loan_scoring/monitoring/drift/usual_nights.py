"""Fit what is usual for a column on a weekday from earlier nights, and hold a night against it.

Nights of a real lender differ more than random draws, and they repeat with the week. From enough
nights on, a column is compared with what the baseline would be on this weekday, and a difference
must also be unusual for the difference between nights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from loan_scoring.contract import MonitoringPolicy
from loan_scoring.monitoring.drift.comparison import OTHER, Comparison, DriftTest
from loan_scoring.monitoring.drift.profiles import NightProfile, level_shares, shares_below
from loan_scoring.monitoring.drift.usual import VARIES, Usual, fit_usual
from loan_scoring.statistics.distribution import Distribution

MIN_ROWS = 20
"""Minimum number of values of a night. A night with fewer values is left out."""
MOST_LEVELS = 20
"""Maximum number of levels that are cells of their own, the most frequent ones of the baseline."""
MIN_EXPECTED = 5.0
"""Minimum mean count of a cell in the tests of whether nights differ. Rarer cells are pooled."""


@dataclass(frozen=True)
class UsualNights:
    """What is usual tonight for a column, by its earlier nights."""

    values: Usual
    """Usual shares of values: below each inner edge of the bins, or at each level and all others.

    The levels are the first MOST_LEVELS of the baseline.
    """
    nulls: Usual
    """Usual share of nulls, one cell."""
    weekday: int
    days: Sequence[date]
    """Date of each earlier night, ascending."""

    @property
    def varies(self) -> bool:
        """Whether the column's values or nulls vary between weekdays or nights."""
        return self.values.varies or self.nulls.varies

    @property
    def p_varies(self) -> float:
        """Smallest p-value of the four tests of whether the column varies."""
        return min(self.values.p_varies, self.nulls.p_varies)

    def expected(self, frozen: Mapping[str, Any]) -> dict[str, Any]:
        """Return the frozen figures of a column with the counts that the weekday would have."""
        rows, nulls = frozen["rows"], frozen["nulls"]
        if rows and self.nulls.has_cycle:
            nulls = round(rows * float(np.clip(nulls / rows + self.nulls.shift[0], 0, 1)))
        counts = np.array([*frozen["counts"], frozen.get("other") or 0], dtype=float)
        present = counts.sum()
        if present and self.values.has_cycle:
            counts = counts / present
            counts[:-1], counts[-1] = _moved(frozen, counts, self.values.shift)
        elif present:
            counts = counts / present
        whole = np.rint(counts * (rows - nulls)).astype(int)
        if present:
            whole[np.argmax(whole)] += rows - nulls - whole.sum()
        found = {**frozen, "nulls": int(nulls), "counts": whole[:-1].tolist()}
        return found | ({"other": int(whole[-1])} if "other" in frozen else {})

    def expected_distribution(
        self, frozen: Mapping[str, Any], baseline: Distribution | None
    ) -> Distribution | None:
        """Return the distribution of a number with the bins weighted as the weekday would."""
        if baseline is None or not self.values.has_cycle or not baseline.size:
            return baseline
        before = np.array(frozen["counts"], dtype=float)
        after = np.array(self.expected(frozen)["counts"], dtype=float)
        factors = np.divide(after, before, out=np.zeros(len(before)), where=before > 0)
        places = np.searchsorted(np.asarray(frozen["edges"]), baseline.values, side="right")
        weights = np.diff(baseline.up_to) * factors[places]
        if not weights.sum():
            return baseline
        up_to = np.concatenate([[0.0], np.cumsum(weights)])
        return Distribution(baseline.values, up_to * (baseline.size / up_to[-1]))

    def judged(self, frozen: Mapping[str, Any], expected: Comparison) -> Comparison:
        """Return a comparison whose p-values allow for the difference between nights.

        The p-value of a test is that of the test or that of the nights, whichever is larger. The
        p-value of the nights is the smallest of all cells, corrected by Bonferroni. Levels that
        training never saw are tested as before. Facts about the baseline stay those of training.

        Args:
            frozen: figures of the column in the baseline of the training.
            expected: comparison of tonight with what the baseline would be on this weekday.
        """
        tonight = NightProfile(self.days[-1], expected.profile or {})
        of_values = None
        if tonight.present:
            shares, rows = _baseline_cells(frozen), frozen["rows"] - frozen["nulls"]
            cells = _cells(frozen, tonight.values)
            p = _p_values(self.values, cells, tonight.present, shares, rows)
            of_values = float(min(1.0, p.min() * max(len(p) - ("levels" in frozen), 1)))
        null_share = np.array([frozen["nulls"] / frozen["rows"]])
        share = np.array([tonight.nulls / tonight.rows])
        p = _p_values(self.nulls, share, tonight.rows, null_share, frozen["rows"])
        of_nulls = float(p[0])
        facts = {**expected.facts, "baseline_nulls": float(null_share[0])}
        if "baseline_shares" in facts:
            facts["expected_shares"] = facts["baseline_shares"]
            facts["baseline_shares"] = {
                level: count / frozen["rows"]
                for level, count in zip(frozen["levels"], frozen["counts"], strict=True)
            } | ({OTHER: frozen["other"] / frozen["rows"]} if frozen.get("other") else {})
        facts["usual"] = {
            "against": against(self.weekday, self.days, self.has_cycle) if self.varies else None,
            "nights": len(self.days),
            "p_nights": of_values,
            "p_nights_of_nulls": of_nulls,
        }
        return replace(
            expected,
            tests=[_at_least(each, of_values, of_nulls) for each in expected.tests],
            facts=facts,
        )

    @property
    def has_cycle(self) -> bool:
        """Whether the column's values or nulls differ between weekdays."""
        return self.values.has_cycle or self.nulls.has_cycle


def usual_nights(
    policy: MonitoringPolicy,
    frozen: Mapping[str, Any],
    nights: Sequence[NightProfile],
    weekday: int,
) -> UsualNights | None:
    """Return what is usual for a column on a weekday. Return None if there are too few nights.

    Args:
        policy: minimum and maximum number of nights.
        frozen: bins or levels of the column in the baseline, from `models.baseline.fit_baseline`.
        nights: profiles of the column in earlier nights, in ascending order of the dates.
        weekday: weekday of tonight, 0 is Monday.
    """
    nights = [each for each in nights if each.present >= MIN_ROWS][-policy.usual_nights :]
    if len(nights) < policy.least_nights or not sum(frozen["counts"]):
        return None
    days = [each.day for each in nights]
    rows = np.array([[each.present] for each in nights], dtype=float)
    values = np.stack([_cells(frozen, each.values) for each in nights])
    disjoint = values
    if "edges" in frozen:
        ends = np.zeros((len(nights), 1)), np.ones((len(nights), 1))
        disjoint = np.diff(np.hstack([ends[0], values, ends[1]]), axis=1)
    disjoint = _without_rare(disjoint, float(rows.mean()))
    every = np.array([[each.rows] for each in nights], dtype=float)
    nulls = np.array([[each.nulls] for each in nights]) / every
    return UsualNights(
        fit_usual(
            days, weekday, values, _noise(values, rows), _baseline_cells(frozen),
            (disjoint, _noise(disjoint, rows)),
        ),
        fit_usual(
            days, weekday, nulls, _noise(nulls, every),
            np.array([frozen["nulls"] / frozen["rows"]]),
        ),
        weekday,
        days,
    )  # fmt: skip


def against(weekday: int, days: Sequence[date], has_cycle: bool) -> str:
    """Return in words what a night was compared with.

    >>> against(5, [date(2026, 1, 3), date(2026, 1, 24)], True)
    'Saturdays of the last 4 weeks'
    """
    weeks = ((days[-1] - days[0]).days + 7) // 7
    names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    return (
        f"{names[weekday]}s of the last {weeks} weeks"
        if has_cycle
        else (f"the last {len(days)} nights")
    )


def varying(fitted: Sequence[UsualNights]) -> bool:
    """Return whether at least one of several columns varies, with a Bonferroni correction."""
    return min((each.p_varies for each in fitted), default=1.0) * 4 * len(fitted) < VARIES


def _at_least(test: DriftTest, of_values: float | None, of_nulls: float) -> DriftTest:
    least = of_nulls if test.name == "null_share" else of_values
    if least is None or test.p_value is None or test.name == "unseen_levels":
        return test
    return replace(test, p_value=max(test.p_value, least))


def _cells(frozen: Mapping[str, Any], profile: Mapping[str, Any]) -> np.ndarray:
    """Return the shares of a night in the cells of a baseline."""
    if "edges" in frozen:
        return shares_below(profile, np.asarray(frozen["edges"], float))
    return level_shares(profile, frozen["levels"][:MOST_LEVELS])


def _baseline_cells(frozen: Mapping[str, Any]) -> np.ndarray:
    counts = np.array([*frozen["counts"], frozen.get("other") or 0], dtype=float)
    if "edges" in frozen:
        return np.asarray(np.cumsum(counts)[:-2] / counts.sum())
    kept = counts[:-1][:MOST_LEVELS]
    return np.asarray(np.array([*kept, counts.sum() - kept.sum()]) / counts.sum())


def _noise(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the sampling variance of shares, by the binomial distribution of the mean share."""
    mean = np.average(values, axis=0, weights=rows[:, 0])
    return np.asarray(mean * (1 - mean) / rows)


def _p_values(
    usual: Usual, tonight: np.ndarray, rows: int, baseline: np.ndarray, baseline_rows: int
) -> np.ndarray:
    expected = np.clip(baseline + usual.shift, 0, 1)
    noise = expected * (1 - expected) / rows + baseline * (1 - baseline) / baseline_rows
    return usual.p_values(tonight - expected, noise)


def _without_rare(shares: np.ndarray, rows: float) -> np.ndarray:
    """Pool the cells of disjoint shares whose mean count is below MIN_EXPECTED."""
    is_rare = shares.mean(axis=0) * rows < MIN_EXPECTED
    pooled = shares[:, is_rare].sum(axis=1, keepdims=True)
    if pooled.mean() * rows < MIN_EXPECTED:
        return shares[:, ~is_rare]
    return np.hstack([shares[:, ~is_rare], pooled])


def _moved(
    frozen: Mapping[str, Any], shares: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the baseline's shares, moved by the shift of their cells, and that of other levels."""
    if "edges" in frozen:
        below = np.clip(np.cumsum(shares[:-1])[:-1] + shift, 0, 1)
        bins = np.diff(np.maximum.accumulate(below), prepend=0.0, append=1.0)
        return bins, 0.0
    kept = min(len(shares) - 1, MOST_LEVELS)
    moved = shares.copy()
    moved[:kept] += shift[:-1]
    rest = shares[kept:].sum()
    if rest:
        moved[kept:] *= max(rest + shift[-1], 0.0) / rest
    moved = np.clip(moved, 0, None)
    moved /= moved.sum()
    return moved[:-1], float(moved[-1])
