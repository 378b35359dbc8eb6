"""Make the card's sections on grades, on the long-run rate, and on cut-offs."""

from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.models.card.blocks import Block, Heading, Plot, Section, Table, Text
from loan_scoring.models.card.plots import draw_cutoffs, draw_grades
from loan_scoring.models.cutoffs import Cutoff, cutoffs, nearest, swapped

ROWS = 20
"""Number of thresholds in the table of cut-offs."""
SETS = {
    "both": "approved by both",
    "comes_in": "comes in: approved by the challenger only",
    "goes_out": "goes out: approved by the champion only",
    "neither": "approved by neither",
}


def grades_sections(row: database.Row, comparison: database.Row | None) -> list[Section]:
    """Return the section on grades, with the migration matrix. Empty if the model has no scale.

    Args:
        row: row of the propensity model.
        comparison: the last comparison with a champion, from table `model_comparisons`, or None.
    """
    grades = (row["evaluation"] or {}).get("grades")
    if grades is None:
        return []
    rows = grades["rows"]
    blocks: list[Block] = [
        Text(_source(grades)),
        Table(
            ["grade", "below", "PD of the scale", "loans", "share", "predicted", "defaulted",
             "95 % interval", "p of Jeffreys' test"],
            [_grade(each, sum(e["loans"] for e in rows)) for each in rows],
            frozenset(range(1, 9)),
        ),
        Text(
            "The interval is Jeffreys'. p is the probability, after these outcomes, that the true "
            "rate is at most the predicted one: below 0.05 the prediction is too low, above 0.95 "
            "too high. Loans are taken to default independently; if they default together, the "
            f"tests find too much. {hosmer_lemeshow_text(grades['hosmer_lemeshow'])}"
        ),
        Plot(draw_grades(rows), "Predicted and observed default rate of each grade."),
    ]  # fmt: skip
    if comparison is not None and comparison["grades"]:
        blocks += _migration(comparison)
    return [Section("Grades", blocks)]


def _source(grades: dict[str, Any]) -> str:
    tested = "The figures are of the loans of the hold-out that the model judges."
    if grades["asked"] is None:
        return f"The scale is declared in the contract. {tested}"
    found = len(grades["rows"])
    fewer = (
        f" The contract asks for {grades['asked']}, but more than {found} would have too few loans "
        "or defaults."
        if found < grades["asked"]
        else ""
    )
    return (
        f"The scale of {found} grades was derived at training: of all groupings of the isotonic "
        "regression's steps on out-of-fold probabilities, it has the highest likelihood. So the "
        f"default rates increase from grade to grade.{fewer} {tested}"
    )


def _grade(each: dict[str, Any], loans: int) -> list[str]:
    has_loans = bool(each["loans"])
    return [
        each["grade"],
        "" if each["below"] is None else f"{100 * each['below']:.4g}%",
        "" if each["pd"] is None else f"{each['pd']:.2%}",
        f"{each['loans']:,}",
        f"{each['loans'] / loans:.1%}",
        f"{each['expected']:.2%}" if has_loans else "",
        f"{each['default_rate']:.2%}" if has_loans else "",
        f"{each['lower']:.2%} to {each['upper']:.2%}" if has_loans else "",
        f"{each['p_value']:.3f}" if has_loans else "",
    ]


def hosmer_lemeshow_text(found: dict[str, Any] | None) -> str:
    """Return a sentence on the test of Hosmer and Lemeshow over all grades."""
    if found is None:
        return "No grade can be tested by Hosmer and Lemeshow's test."
    return (
        f"All grades together: Hosmer-Lemeshow {found['statistic']:.2f} with {found['freedom']} "
        f"degrees of freedom, p = {found['p_value']:.3g}."
    )


def _migration(comparison: database.Row) -> list[Block]:
    grades = comparison["grades"]
    counts = grades["loans"]
    same = sum(
        n
        for old, row in zip(grades["champion"], counts, strict=True)
        for new, n in zip(grades["challenger"], row, strict=True)
        if old == new
    )
    head = [f"{comparison['champion']} ↓, {comparison['challenger']} →", *grades["challenger"]]
    return [
        Heading("Migration"),
        Text(
            f"The same {comparison['loans']:,} loans of the hold-out by the grade that the "
            f"champion {comparison['champion']} gave (rows) and that {comparison['challenger']} "
            f"gives (columns). {same / comparison['loans']:.1%} have a grade of the same name. "
            "Scales that training derives differ from model to model, so that a grade of the same "
            "name may have another PD."
        ),
        Table(
            head,
            [
                [old, *(f"{n:,}" if n else "" for n in row)]
                for old, row in zip(grades["champion"], counts, strict=True)
            ],
            frozenset(range(1, len(head))),
        ),
    ]


def long_run_sections(row: database.Row) -> list[Section]:
    """Return the section on the long-run default rate. Empty if the contract has no target."""
    found = (row["evaluation"] or {}).get("long_run")
    if found is None:
        return []
    return [
        Section(
            "Long-run default rate",
            [
                Text(
                    f"The contract calibrates probabilities to a long-run default rate of "
                    f"{found['target']:.2%}. On the training set the mean probability was "
                    f"{found['mean_before']:.2%}; all log-odds were moved by {found['shift']:+.3f}."
                    " Ranks and the calibration slope are as before. Brier score, log loss, "
                    "calibration by tenths and decisions of this card are of the moved "
                    "probabilities, so they differ from the hold-out by design. Promotion gates "
                    "and the tests of grades go by the probabilities before. Tests of outcomes "
                    "go by the calibration curve of the hold-out, which takes the shift back."
                )
            ],
        )
    ]


def cutoffs_sections(
    contract: Contract, row: database.Row, comparison: database.Row | None
) -> list[Section]:
    """Return the section on cut-offs. Empty if the model was registered before they were recorded.

    Args:
        contract: contract with thresholds, loss given default and margin.
        row: row of the propensity model.
        comparison: the last comparison with a champion, from table `model_comparisons`, or None.
    """
    rows = cutoffs(contract, row["evaluation"])
    if not rows:
        return []
    recorded = row["evaluation"]["cutoffs"]
    policy = {nearest(rows, each): each for each in contract.decision.model_dump().values()}
    step = max(len(rows) // ROWS, 1)
    kept = [each for place, each in enumerate(rows, 1) if place % step == 0 or each in policy]
    names = {"expected_loss": "expected loss", "loss": "loss", "profit": "profit"}
    money = [name for name in names if getattr(rows[0], name) is not None]
    head = ["approve below", "approved", "share", "defaulted", "95 % interval"]
    head += [names[name] for name in money]
    blocks: list[Block] = [
        Text(
            f"What other thresholds would approve of the {recorded['loans']:,} loans of the "
            "hold-out. Only loans with an outcome are in it, so shares of all applicants may "
            "differ."
        ),
        Plot(
            draw_cutoffs(rows, list(policy.values())),
            "Approval rate, and default rate of the approved, by threshold.",
        ),
        Text(_money_text(contract, recorded, money)),
        Table(head, [_cutoff(each, money, policy) for each in kept], frozenset(range(len(head)))),
    ]
    if comparison is not None:
        blocks += _swaps(contract, comparison)
    return [Section("Cut-offs", blocks)]


def _money_text(contract: Contract, recorded: dict[str, Any], money: list[str]) -> str:
    if contract.business is None or not money:
        return "Without an amount under business in the contract, no money is counted."
    text = (
        f"A default loses {contract.business.loss_given_default:.0%} of the amount (an assumption "
        "of the contract). Expected loss is by the probabilities, loss by the outcomes."
    )
    if contract.business.margin is not None:
        text += (
            f" A paid loan earns {contract.business.margin:.2%} of its amount; profit is what paid "
            "loans earn minus the loss."
        )
    if recorded["without_amount"]:
        text += f" {recorded['without_amount']:,} loans without an amount are not in the money."
    return text


def _cutoff(row: Cutoff, money: list[str], policy: dict[Cutoff, float]) -> list[str]:
    has_loans = row.default_rate is not None
    return [
        f"{row.threshold:g}{' (policy)' if row in policy else ''}",
        f"{row.approved:,}",
        f"{row.approval_rate:.1%}",
        f"{row.default_rate:.2%}" if has_loans else "",
        f"{row.lower:.2%} to {row.upper:.2%}" if has_loans else "",
        *(f"{getattr(row, name):,.0f}" for name in money),
    ]


def _swaps(contract: Contract, comparison: database.Row) -> list[Block]:
    threshold = contract.decision.approve_below
    if threshold not in comparison["cells"]["thresholds"]:
        return [Text(f"The comparison with the champion was made without {threshold:g}.")]
    sets = swapped(comparison, threshold, threshold)
    return [
        Heading("Swap sets"),
        Text(
            f"{comparison['challenger']} instead of the champion {comparison['champion']}, both "
            f"approving below {threshold:g}, on the same {comparison['loans']:,} loans."
        ),
        Table(
            ["", "loans", "defaults", "default rate", "95 % interval"],
            [
                [
                    SETS[name],
                    f"{each.loans:,}",
                    f"{each.defaults:,}",
                    "" if each.default_rate is None else f"{each.default_rate:.2%}",
                    "" if each.lower is None else f"{each.lower:.2%} to {each.upper:.2%}",
                ]
                for name, each in sets.items()
            ],
            frozenset({1, 2, 3, 4}),
        ),
    ]
