"""The leak gate: what each column alone gives away of the outcome, and whether that is too much.

A column leaks where it was filled, or left empty, after the outcome was known. No model tells such
a column from a good one; three figures do: how well it alone ranks loans, how well its nulls alone
do, and which of its levels hold hardly anything but one outcome.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring.contract import KEY, Column, Contract, LeakPolicy
from loan_scoring.statistics.auc import auc_of_counts
from loan_scoring.statistics.intervals import wilson

FOLDS = 5
BINS = 32
"""Quantile bins of a number: fine enough for any shape that a few thousand loans can show."""
PURE_LIFT = 1.5
"""How far above its share in all loans an outcome must stand in a near-pure level.

Where 98 % are paid, a level in which all are paid says nothing.
"""
NULL = "null"
VERDICTS = ("leak", "acknowledged", "excluded", "suspect", "clean")
"""Worst first."""


@dataclass(frozen=True)
class PureLevel:
    """A level, a bin or a frequent number that holds hardly anything but one outcome.

    `loans` in it, the share of them that defaulted, and the share of all loans with the level's
    outcome that stand in it: how much of the label it gives away.
    """

    level: str
    loans: int
    default_rate: float
    coverage: float


@dataclass(frozen=True)
class LeakFigures:
    """What a column gives away among some loans.

    `auc` and `null_auc` are None where the column, or its nulls, are the same for every loan.
    """

    loans: int
    nulls: int
    auc: float | None
    null_auc: float | None
    near_pure: list[PureLevel]


@dataclass(frozen=True)
class LeakFinding:
    """A column, its figures before and after exclusions, and the verdict.

    `role` is feature, protected, key, pricing or outcome. `verdict` is

    - leak: a figure is above its limit; for a feature, among the loans that a model judges, for
      any other column among all loans;
    - acknowledged: a leak that the contract names, with a reason;
    - excluded: a feature that leaks among all loans, and no longer among the judged ones;
    - suspect: near-pure levels within the limits;
    - clean.

    `reasons` names the figures and their limits; `is_decisive` says whether the leak stands
    between a feature and the model.
    """

    column: str
    role: str
    everyone: LeakFigures
    judged: LeakFigures
    verdict: str
    reasons: list[str]
    is_decisive: bool


@dataclass(frozen=True)
class LeakReport:
    """The findings on every column of the contract, worst first."""

    loans: int
    judged_loans: int
    findings: list[LeakFinding]

    @property
    def decisive(self) -> list[LeakFinding]:
        """The leaks among the columns that would be features."""
        return [finding for finding in self.findings if finding.is_decisive]

    def as_json(self) -> dict[str, Any]:
        """Return the report fit for JSON."""
        return asdict(self)


def leak_report(
    contract: Contract, table: pa.Table, judged: np.ndarray, history: np.ndarray
) -> LeakReport:
    """Return what every column of the contract gives away.

    A column that is known later than the application is looked at in the history alone: later
    batches hold what a night knows, and it is null in them whatever becomes of the loan.

    Args:
        contract: roles of the columns, limits and acknowledged findings.
        table: labelled applications with all columns of the contract and `is_default`.
        judged: whether a model judges the application, shape (rows,).
        history: whether it came with the history, shape (rows,); where none did, all did.
    """
    y = table.column("is_default").to_numpy().astype(bool)
    if not history.any():
        history = np.ones(len(y), dtype=bool)
    seed = contract.training.seed
    findings = []
    for column in contract.columns:
        if column.type == "text":
            continue  # a key that is text: every loan has its own
        values = table.column(column.name).combine_chunks()
        rows = np.ones(len(y), dtype=bool) if column.is_known_at_application else history
        everyone, judged_only = (
            leak_figures(values.filter(pa.array(mask)), y[mask], contract.training.leaks, seed)
            for mask in (rows, rows & judged)
        )
        findings.append(_judge(contract, column, everyone, judged_only))
    findings.sort(key=lambda each: (VERDICTS.index(each.verdict), -(each.everyone.auc or 0.0)))
    return LeakReport(len(y), int(judged.sum()), findings)


def leak_figures(values: pa.Array, y: np.ndarray, policy: LeakPolicy, seed: int) -> LeakFigures:
    """Return what one column gives away of outcomes `y`, shape (rows,), in these rows."""
    null = values.is_null().to_numpy(zero_copy_only=False)
    codes, names = _coded(values)
    return LeakFigures(
        len(y),
        int(null.sum()),
        level_auc(codes, y, seed),
        level_auc(null.astype(int), y, seed),
        _near_pure(values, codes, names, y, policy),
    )


def level_auc(codes: np.ndarray, y: np.ndarray, seed: int) -> float | None:
    """Return the out-of-sample AUC of a column's levels, None where there is nothing to rank by.

    In each of 5 folds the levels are ranked by their default rates in the other four, shrunk to
    the overall rate as by one more loan; the result is the mean of the folds' AUC. A level's rate
    says its direction, so there is none to choose afterwards, and noise comes out at a half.

    Args:
        codes: level of each loan, counted from 0, shape (rows,).
        y: whether it defaulted, shape (rows,).
        seed: of the folds.
    """
    levels = int(codes.max()) + 1 if len(codes) else 0
    if levels < 2 or len(np.unique(codes)) < 2 or min(y.sum(), (~y).sum()) < FOLDS:
        return None
    fold = np.empty(len(y), dtype=int)
    dice = np.random.default_rng(seed)
    for outcome in (True, False):
        members = np.flatnonzero(y == outcome)
        fold[dice.permutation(members)] = np.arange(len(members)) % FOLDS
    cells = fold * levels + codes
    shape = (FOLDS, levels)
    bad = np.bincount(cells[y], minlength=FOLDS * levels).reshape(shape)
    good = np.bincount(cells[~y], minlength=FOLDS * levels).reshape(shape)
    overall = y.mean()
    found = []
    for each in range(FOLDS):
        others_bad = bad.sum(axis=0) - bad[each]
        others = others_bad + good.sum(axis=0) - good[each]
        rate = (others_bad + overall) / (others + 1)
        _, place = np.unique(rate, return_inverse=True)
        found.append(auc_of_counts(np.bincount(place, bad[each]), np.bincount(place, good[each])))
    return float(np.mean(found))


def _coded(values: pa.Array) -> tuple[np.ndarray, list[str]]:
    """Return each value's level from 0 on, and the levels' names; null is a level of its own.

    A number's levels are its quantile bins, in which a value that fills a bin has it to itself.
    """
    null = values.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_string(values.type):
        encoded = values.dictionary_encode()
        names = encoded.dictionary.to_pylist()
        codes = encoded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
        return codes.astype(int), [*names, NULL]
    numbers = values.cast(pa.float64()).fill_null(0).to_numpy(zero_copy_only=False)
    there = numbers[~null]
    if not len(there):
        return np.zeros(len(numbers), dtype=int), [NULL]
    cuts = np.quantile(there, np.arange(1, BINS) / BINS, method="lower")
    edges, repeats = np.unique(cuts, return_counts=True)
    spikes = edges[repeats > 1]
    edges = np.unique([*edges, *np.nextafter(spikes, np.inf)])
    codes = np.searchsorted(edges, numbers, side="right")
    bounds = [there.min(), *edges, there.max()]
    names = [
        f"{low:g}" if high <= np.nextafter(low, np.inf) else f"{low:g} to {high:g}"
        for low, high in pairwise(bounds)
    ]
    codes[null] = len(names)
    return codes, [*names, NULL]


def _near_pure(
    values: pa.Array, codes: np.ndarray, names: Sequence[str], y: np.ndarray, policy: LeakPolicy
) -> list[PureLevel]:
    """Return the levels that hold hardly anything but one outcome, most loans first.

    Levels of a category, bins of a number, null, and each single number that stands in at least
    as many loans as a level needs. A tiny level does not count: it is the lower Wilson bound of
    the outcome's share that must reach the limit.
    """
    loans = np.bincount(codes, minlength=len(names))
    defaults = np.bincount(codes, y, minlength=len(names)).astype(int)
    counted = {names[i]: (loans[i], defaults[i]) for i in map(int, np.flatnonzero(loans))}
    if not pa.types.is_string(values.type):
        numbers = values.cast(pa.float64()).drop_null().to_numpy()
        single, place = np.unique(numbers, return_inverse=True)
        known = ~values.is_null().to_numpy(zero_copy_only=False)
        loans = np.bincount(place, minlength=len(single))
        defaults = np.bincount(place, y[known], minlength=len(single)).astype(int)
        counted |= {
            f"{single[i]:g}": (loans[i], defaults[i])
            for i in np.flatnonzero(loans >= policy.min_level_loans)
        }
    found = []
    for name, (n, bad) in counted.items():
        if n < policy.min_level_loans:
            continue
        for hits, total in ((bad, y.sum()), (n - bad, (~y).sum())):
            low = wilson(int(hits), int(n))[0]
            if low >= policy.pure_share and hits / n >= PURE_LIFT * total / len(y):
                found.append(PureLevel(name, int(n), float(bad / n), float(hits / total)))
    return sorted(found, key=lambda level: -level.loans)


def _judge(
    contract: Contract, column: Column, everyone: LeakFigures, judged: LeakFigures
) -> LeakFinding:
    policy = contract.training.leaks
    is_feature = column in contract.features
    if is_feature:
        role = "feature"
    elif column.name == KEY:
        role = "key"
    else:
        role = "protected" if column.is_known_at_application else column.known
    reasons = over_limits(judged if is_feature else everyone, policy)
    before = over_limits(everyone, policy)
    acknowledged = column.name in policy.acknowledged
    if reasons:
        verdict = "acknowledged" if acknowledged else "leak"
    elif before:
        verdict = "excluded"
    else:
        verdict = "suspect" if everyone.near_pure or judged.near_pure else "clean"
    return LeakFinding(
        column.name, role, everyone, judged, verdict, reasons or before,
        bool(reasons) and is_feature and not acknowledged,
    )  # fmt: skip


def over_limits(of: LeakFigures, policy: LeakPolicy) -> list[str]:
    """Return, in words, each figure that is above its limit."""
    reasons = []
    if (of.auc or 0.0) >= policy.auc_limit:
        reasons.append(f"AUC of the column alone {of.auc:.3f}, limit {policy.auc_limit:g}")
    # Nulls may tell either outcome; levels' rates have taken the direction out already.
    if (of.null_auc or 0.0) >= policy.null_auc_limit:
        reasons.append(f"AUC of its nulls alone {of.null_auc:.3f}, limit {policy.null_auc_limit:g}")
    for level in of.near_pure:
        if level.coverage >= policy.coverage_limit:
            outcome = "defaulted" if level.default_rate > 0.5 else "were paid"
            share = max(level.default_rate, 1 - level.default_rate)
            reasons.append(
                f"{share:.1%} of {level.loans} loans with {level.level} {outcome}, "
                f"{level.coverage:.1%} of all that did, limit {policy.coverage_limit:g}"
            )
    return reasons


def render_leaks(of: LeakReport) -> str:
    """Return the report as a table: before and after exclusions, joined by an arrow."""
    head = f"{'column':<28} {'role':<11} {'AUC':<16} {'AUC of nulls':<16} {'verdict':<13}"
    lines = [
        f"leak report over {of.loans} labelled loans, {of.judged_loans} of them judged by a model; "
        "figures: all -> judged",
        "",
        f"{head} near-pure levels (loans, default rate)",
    ]
    for each in of.findings:
        lines.append(
            f"{each.column:<28} {each.role:<11} {_pair(each.everyone.auc, each.judged.auc):<16} "
            f"{_pair(each.everyone.null_auc, each.judged.null_auc):<16} {each.verdict:<13} "
            f"{_levels(each)}".rstrip()
        )
    return "\n".join(lines)


def _pair(before: float | None, after: float | None) -> str:
    def text(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    return f"{text(before)} -> {text(after)}"


def _levels(of: LeakFinding) -> str:
    def text(levels: list[PureLevel]) -> str:
        told = [f"{each.level} ({each.loans}, {each.default_rate:.1%})" for each in levels[:2]]
        more = [f"{len(levels) - 2} more"] if len(levels) > 2 else []
        return ", ".join(told + more) or "none"

    if not of.everyone.near_pure and not of.judged.near_pure:
        return ""
    return f"{text(of.everyone.near_pure)} -> {text(of.judged.near_pure)}"
