"""Make the card's section on reasons: the method, the words, and the test of what they say."""

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.models.card.blocks import Block, Section, Table, Text
from loan_scoring.models.reasons import METHOD, REASONS, reason_texts

SAYS = {"too_low": "too low", "too_high": "too high", None: ""}


def reasons_section(contract: Contract, row: database.Row, verdicts: list[database.Row]) -> Section:
    """Return the section with the method, the reasons that the model may give, and their test.

    Args:
        contract: contract of the portfolio.
        row: row of the propensity model.
        verdicts: rows of the table `promotions` for the version, the oldest first.
    """
    method = (
        "Contributions are exact Shapley values: path-dependent TreeSHAP for trees; for a logistic "
        "regression the coefficient times the distance from the mean of the training loans. "
        f"A reviewed or declined loan gets at most {len(REASONS)} reasons, those with the largest "
        "contributions. A reason that lowered the probability is never given."
    )
    if row["training_data"].get("reasons") != METHOD:
        method += " At training, reasons were contributions along the paths of the trees."
    texts = reason_texts(contract, row["features"])
    blocks: list[Block] = [
        Text(method),
        Table(
            ["reason", "stands for", "says"],
            [
                [
                    each.text,
                    ", ".join(contract.by_name[name].label for name in each.features),
                    SAYS[each.says],
                ]
                for each in texts
            ],
        ),
    ]
    gates = [
        gate
        for verdict in verdicts
        for gate in verdict["evidence"].get("gates", [])
        if gate["gate"] == "reasons"
    ]
    if gates:
        figures = gates[-1]["figures"]
        blocks += [
            Text(
                "The latest test of what reasons say, on loans of the hold-out that were given the "
                "reason: the number is moved to the good side, and the probability must fall. "
                f"The floor is {figures['reasons_agree']:.0%}."
            ),
            Table(
                ["reason", "loans", "probability falls", "95 % interval", "mean change"],
                [_tested(each) for each in figures["reasons"]],
                frozenset({1, 2, 3, 4}),
            ),
        ]
    return Section("Reasons", blocks)


def _tested(each: dict[str, float]) -> list[str]:
    if not each["loans"]:
        return [str(each["reason"]), "0", "", "", ""]
    return [
        str(each["reason"]), f"{each['loans']:,}", f"{each['agree']:.1%}",
        f"{each['low']:.1%} to {each['high']:.1%}", f"{each['mean_change']:+.4f}",
    ]  # fmt: skip
