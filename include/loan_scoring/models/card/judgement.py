"""Make the card's sections on confusion matrices, the benchmark tree and the scorecard."""

from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.models.binning import FEWEST_LOANS
from loan_scoring.models.card.blocks import Block, Heading, Plot, Section, Table, Text
from loan_scoring.models.card.tree import draw_tree

SIDES = {
    "approve": ("approved", "reviewed or declined"),
    "decline": ("approved or reviewed", "declined"),
}
THRESHOLDS = {"approve": "Approval below", "decline": "Decline from"}


def confusion_section(row: database.Row) -> list[Section]:
    """Return the section with a confusion matrix for each threshold. Empty if none is recorded."""
    matrices = (row["evaluation"] or {}).get("confusion")
    if not matrices:
        return []
    blocks: list[Block] = [Text("Loans of the hold-out on each side of both thresholds.")]
    for each in matrices:
        below, above = SIDES[each["decision"]]
        sides = ((f"below {each['threshold']:g}: {below}", "below"),
                 (f"from {each['threshold']:g} on: {above}", "above"))  # fmt: skip
        rows = [
            _matrix_row(text, each[f"paid_{side}"], each[f"defaulted_{side}"], _total(each))
            for text, side in sides
        ]
        paid, defaulted = (each[f"{name}_below"] + each[f"{name}_above"]
                           for name in ("paid", "defaulted"))  # fmt: skip
        rows.append(_matrix_row("all", paid, defaulted, _total(each)))
        head = ["probability of default", "paid", "defaulted", "all", "default rate"]
        blocks += [
            Heading(f"{THRESHOLDS[each['decision']]} {each['threshold']:g}"),
            Table(head, rows, frozenset({1, 2, 3, 4})),
        ]
    return [Section("Confusion matrices", blocks)]


def _total(matrix: dict[str, Any]) -> int:
    return sum(value for value in matrix.values() if isinstance(value, int))


def _matrix_row(text: str, paid: int, defaulted: int, total: int) -> list[str]:
    counts = [f"{each:,} ({each / total:.1%})" for each in (paid, defaulted, paid + defaulted)]
    rate = f"{defaulted / (paid + defaulted):.1%}" if paid + defaulted else ""
    return [text, *counts, rate]


def benchmark_section(contract: Contract, row: database.Row) -> list[Section]:
    """Return the section with the benchmark tree and its pure leaves. Empty if none is recorded."""
    tree = (row["evaluation"] or {}).get("benchmark")
    if tree is None:
        return []
    policy = contract.training.leaks
    blocks: list[Block] = [
        Text(
            f"A decision tree of depth {tree['depth']}, fitted to {tree['loans']:,} loans of the "
            f"training set. On the hold-out its AUC is {tree['auc']:.4f}; the model's is "
            f"{row['metrics']['auc']:.4f}. The difference is what the model gains over rules that "
            "fit on one page."
        ),
        Plot(
            draw_tree(tree["nodes"]),
            "Benchmark tree: default rate and loans of each leaf.",
            is_wide=True,
        ),
        Heading("Pure leaves"),
        Text(
            f"Leaves in which at least {policy.tree_pure_share:.0%} of the loans have one outcome, "
            f"and at least {policy.pure_share:.0%} of those in the hold-out. "
            "They are a finding of the leak gate if they hold more than "
            f"{policy.coverage_limit:.0%} of all loans with this outcome, and the contract gives "
            "no reason."
        ),
    ]
    for column, rule in ((row.get("leaks") or {}).get("dropped_for_leaves") or {}).items():
        blocks.append(Text(f"{contract.by_name[column].label} was dropped: pure leaf {rule}."))
    leaves = tree["leaves"]
    if not leaves:
        blocks.append(Text("There are none."))
        return [Section("Benchmark tree", blocks)]
    blocks.append(
        Table(
            ["rule", "loans", "defaulted", "in the hold-out", "of all", "verdict"],
            [
                [
                    leaf["rule"],
                    f"{leaf['loans']:,}",
                    f"{leaf['default_rate']:.1%}",
                    f"{leaf['holdout_default_rate']:.1%} of {leaf['holdout_loans']:,}",
                    f"{leaf['coverage']:.1%}",
                    f"acknowledged: {leaf['reason']}" if leaf["reason"] else "few loans",
                ]
                for leaf in leaves
            ],
            frozenset({1, 2, 3, 4}),
        )
    )
    return [Section("Benchmark tree", blocks)]


def scorecard_section(contract: Contract, row: database.Row) -> list[Section]:
    """Return the section with the bins and points of a scorecard. Empty for other models."""
    card = (row["evaluation"] or {}).get("scorecard")
    if card is None:
        return []
    blocks: list[Block] = [
        Text(
            "The score is the sum of the points of all columns. "
            f"{card['base_score']:g} points stand for {card['base_odds']:g} paid loans for each "
            f"default; {card['pdo']:g} points more double these odds. A positive weight of "
            "evidence (WOE) means more defaults than among all loans; a bin of fewer than "
            f"{FEWEST_LOANS} loans has none. Counts are of the training set."
        )
    ]
    out = [each for each in card["columns"] if each["left_out"]]
    if out:
        reasons = [[each["label"], each["left_out"]] for each in out]
        blocks += [Text("Columns that are left out:"), Table(["column", "reason"], reasons)]
    for each in sorted(card["columns"], key=lambda one: -one["information_value"]):
        if each["left_out"]:
            continue
        direction = f", direction {each['direction']}" if each["direction"] else ""
        blocks += [
            Heading(f"{each['label']}: information value {each['information_value']:.3f}, "
                    f"coefficient {each['coefficient']:.3f}{direction}"),
            Table(
                ["bin", "loans", "share", "default rate", "WOE", "points"],
                [
                    [
                        bin_text(contract, each["column"], one),
                        f"{one['loans']:,}",
                        f"{one['share']:.1%}",
                        "" if one["default_rate"] is None else f"{one['default_rate']:.1%}",
                        f"{one['woe'] + 0.0:.3f}",
                        f"{one['points']:.1f}",
                    ]
                    for one in each["bins"]
                    if one["loans"]
                ],
                frozenset({1, 2, 3, 4, 5}),
            ),
        ]  # fmt: skip
    return [Section("Scorecard", blocks)]


def bin_text(contract: Contract, name: str, one: dict[str, Any]) -> str:
    """Return what a bin of a scorecard holds, in words."""
    if one.get("is_null"):
        return "missing"
    if one.get("is_other"):
        return "rare or never seen"
    if "equals" in one:
        return f"code {one['equals']:g}"
    if "levels" in one:
        column = contract.by_name[name]
        return ", ".join(column.shown_level(level) for level in one["levels"])
    low, high = one["from"], one["below"]
    if low is None and high is None:
        return "any value"
    if low is None:
        return f"below {high:,.6g}"
    return f"from {low:,.6g} on" if high is None else f"{low:,.6g} to below {high:,.6g}"
