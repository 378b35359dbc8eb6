"""Build the drift table of a batch: importance, tests and distributions of each column."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.monitoring.alerts.causes import compared_name
from loan_scoring_web.pages import plots
from loan_scoring_web.pages.drift import KINDS
from loan_scoring_web.pages.words import LEVELS

REST, MISSING = "other levels", "missing"
MOST_LEVELS = 20


def compared_columns(
    contract: Contract,
    model: database.Row,
    counted: Mapping[str, database.Row],
    tests: Sequence[database.Row],
) -> list[dict[str, Any]]:
    """Return a table row for each column that was compared with the baseline.

    Inputs come after all other columns, and are sorted by descending importance, then by label.

    Args:
        contract: contract with the policy under which the batch was scored.
        model: row of table `models` with the baseline and the importance of each feature.
        counted: distributions in the batch, by feature.
        tests: drift tests of the batch.
    """
    importance = {each["feature"]: each["mean"] for each in model["importance"] or []}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for test in tests:
        key = (test["kind"], test["feature"])
        row = found.setdefault(
            key,
            {
                "kind": KINDS.get(test["kind"], test["kind"]),
                "is_input": test["kind"] == "data",
                "feature": test["feature"],
                "label": compared_name(contract, test["feature"]),
                "importance": importance.get(test["feature"]),
                "level": "stable",
                "psi": None,
                "tests": [],
            },
        )
        row["tests"].append(test)
        row["level"] = max(row["level"], test["level"], key=LEVELS.index)
        if test["test"] == "psi":
            row["psi"] = test["effect"]
    for row in found.values():
        row["sides"] = both_shares(
            (model["baseline"] or {}).get(row["feature"]), counted.get(row["feature"])
        )
        column = contract.by_name.get(row["feature"])
        if row["sides"] and column is not None and column.level_labels:
            names, *shares = row["sides"]
            row["sides"] = ([column.shown_level(name) for name in names], *shares)
        row["plot"] = plots.draw_side_by_side(*row["sides"]) if row["sides"] else None
    return sorted(
        found.values(),
        key=lambda row: (row["is_input"], -(row["importance"] or -1.0), row["label"]),
    )


def both_shares(
    frozen: Mapping[str, Any] | None, counted: Mapping[str, Any] | None
) -> tuple[list[str], list[float], list[float]] | None:
    """Return the names of bins or levels, their shares in the baseline and in the batch.

    Return None if there is no recorded distribution of the baseline or of the batch.

    Args:
        frozen: distribution of the column in the baseline.
        counted: distribution of the column in the batch.
    """
    if frozen is None or counted is None or not counted["loans"] or not frozen["rows"]:
        return None
    if "levels" in frozen:
        names, baseline, batch = _levels(frozen, counted)
    else:
        names, baseline, batch = bin_names(frozen["edges"]), frozen["counts"], counted["counts"]
    if frozen["nulls"] or counted["nulls"]:
        names = [*names, MISSING]
        baseline, batch = [*baseline, frozen["nulls"]], [*batch, counted["nulls"]]
    return (
        names,
        [count / frozen["rows"] for count in baseline],
        [count / counted["loans"] for count in batch],
    )


def _levels(
    frozen: Mapping[str, Any], counted: Mapping[str, Any]
) -> tuple[list[str], list[int], list[int]]:
    """Return the names of levels, their counts in the baseline and their counts in the batch.

    The result has the first 20 levels of the baseline and up to 20 levels that only the batch has.
    All further levels are summed up as `other levels`.
    """
    before = dict(zip(frozen["levels"], frozen["counts"], strict=True))
    now = counted["counts"]
    unseen = [] if "other" in frozen else [level for level in now if level not in before]
    names = [*list(before)[:MOST_LEVELS], *unseen[:MOST_LEVELS]]
    baseline, batch = [before.get(n, 0) for n in names], [now.get(n, 0) for n in names]
    rest = (
        frozen["rows"] - frozen["nulls"] - sum(baseline),
        counted["loans"] - counted["nulls"] - sum(batch),
    )
    if any(rest):
        return [*names, REST], [*baseline, rest[0]], [*batch, rest[1]]
    return names, baseline, batch


def bin_names(edges: Sequence[float]) -> list[str]:
    """Return the names of the bins between the given inner edges and beyond them.

    >>> bin_names([10.0, 2500.0])
    ['< 10', '10 to 2,500', '2,500 +']
    """
    if not edges:
        return ["all"]
    texts = [f"{edge:,.4g}" if abs(edge) < 1e4 else f"{edge:,.0f}" for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(texts)]
    return [f"< {texts[0]}", *between, f"{texts[-1]} +"]
