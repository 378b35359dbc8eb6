"""Compare the levels of a categorical column of a batch with those of the baseline."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from loan_scoring.contract import MonitoringPolicy
from loan_scoring.monitoring.drift.comparison import OTHER, DriftTest
from loan_scoring.monitoring.drift.exact_tests import rare_levels, unseen_levels
from loan_scoring.monitoring.drift.statistical_tests import (
    chi_square,
    jensen_shannon,
    largest_cells,
    rare_places,
    total_variation,
)

NAMED = 20
"""So many levels are named in facts: those with most rows, and those that changed most."""


def compare_categories(
    policy: MonitoringPolicy,
    frozen: Mapping[str, Any],
    counted: dict[str, int],
    rows: int,
) -> tuple[list[DriftTest], np.ndarray, np.ndarray, dict[str, Any]]:
    """Return the drift tests of a categorical column, the counts per cell, and facts for alerts.

    The counts are returned first for the baseline and then for the batch. A level that only the
    batch has is treated as any other level, with 0 rows in the baseline. If the baseline has the
    other levels of a column as one group, the batch has them too, and no level counts as unseen.

    Args:
        policy: monitoring policy.
        frozen: levels of the baseline and their counts, and `other` if it groups the others.
        counted: rows of the batch per level.
        rows: rows of the batch, with nulls.
    """
    known = dict(zip(frozen["levels"], frozen["counts"], strict=True))
    if "other" in frozen:
        total = sum(counted.values())
        counted = {level: counted.get(level, 0) for level in known}
        others = total - sum(counted.values())
        if others or frozen["other"]:
            known[OTHER], counted[OTHER] = frozen["other"], others
    unseen = [level for level in counted if level not in known]
    levels = [*known, *unseen]
    before = np.array([known.get(level, 0) for level in levels], dtype=int)
    now = np.array([counted.get(level, 0) for level in levels], dtype=int)
    tests = []
    facts: dict[str, Any] = {"shares": {}, "baseline_shares": {}, "unseen": [], "unseen_levels": 0}
    expected, actual = largest_cells(before, now, policy.psi_cells)
    m, n = int(before.sum()), int(now.sum())
    if m and n:
        statistic, p_value = chi_square(before, now)
        is_rare = rare_places(before, now)
        cells = largest_cells(
            np.append(before[~is_rare], before[is_rare].sum()),
            np.append(now[~is_rare], now[is_rare].sum()),
            policy.psi_cells,
        )
        distance = total_variation(*cells)
        tests.append(DriftTest("chi_square", statistic, distance, policy.share_floor, p_value))
        if is_rare.any():
            effect, p_value = rare_levels(before[is_rare], now[is_rare], m, n)
            tests.append(DriftTest("rare_levels", effect, effect, policy.share_floor, p_value))
        distance = jensen_shannon(expected, actual)
        tests.append(DriftTest("jensen_shannon", distance, distance, policy.jensen_shannon_floor))
        facts = _name_levels(levels, before / frozen["rows"], now / rows)
    if "other" not in frozen:
        share = sum(counted[level] for level in unseen) / rows
        usual, p_value = unseen_levels(before, now, m, n) if unseen else (0.0, None)
        # The number of rows with rare new levels varies, and may hide one new level of many rows.
        effect = max(
            share - usual / rows, max((counted[level] for level in unseen), default=0) / rows
        )
        tests.append(DriftTest("unseen_levels", share, effect, policy.unseen_floor, p_value))
        facts |= {
            "unseen": unseen[:NAMED],
            "unseen_levels": len(unseen),
            "unseen_share": share,
            "usual_unseen_share": usual / rows,
        }
    return tests, expected, actual, facts


def _name_levels(levels: list[str], before: np.ndarray, now: np.ndarray) -> dict[str, Any]:
    """Return the shares of the levels with most rows and of those that changed most, by name."""
    chosen = {*np.argsort(-(before + now))[:NAMED], *np.argsort(-np.abs(now - before))[:NAMED]}
    places = sorted(chosen)
    shares = {levels[k]: float(now[k]) for k in places}
    baseline_shares = {levels[k]: float(before[k]) for k in places}
    if len(places) < len(levels):
        # The levels that the baseline groups are others too.
        shares[OTHER] = shares.get(OTHER, 0.0) + float(np.delete(now, places).sum())
        rest = float(np.delete(before, places).sum())
        baseline_shares[OTHER] = baseline_shares.get(OTHER, 0.0) + rest
    return {"shares": shares, "baseline_shares": baseline_shares}
