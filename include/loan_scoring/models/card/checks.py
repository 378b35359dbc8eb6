"""Make the card's sections on checks of the model: promotion gates, fairness and leaks."""

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.models.card.blocks import Block, Plot, Section, Table, Text
from loan_scoring.models.card.plots import draw_approval

VERDICTS = {
    "promoted": "promoted",
    "refused": "refused by a gate",
    "rejected": "rejected by a person",
    "timed_out": "not answered in time",
}
OCCASIONS = {
    "training": "after training",
    "shadow": "after its nights in shadow",
    "command": "by command",
    "rollback": "by rollback",
}


def promotions_section(verdicts: list[database.Row]) -> Section:
    """Return the section with all verdicts on a version and the gates of the latest judgement.

    Args:
        verdicts: rows of the table `promotions` for the version, the oldest first.
    """
    if not verdicts:
        return Section("Promotions", [Text("Nobody has judged this version yet.")])
    blocks: list[Block] = [
        Table(
            ["when (UTC)", "verdict", "by", "replaced", "comment"],
            [
                [
                    f"{each['decided_at']:%Y-%m-%d %H:%M}",
                    f"{VERDICTS[each['verdict']]}, {OCCASIONS[each['occasion']]}",
                    each["decided_by"],
                    each["replaces"] or "none",
                    each["comment"] or "",
                ]
                for each in verdicts
            ],
        )
    ]
    judged = [each for each in verdicts if "gates" in each["evidence"]]
    if judged:
        evidence = judged[-1]["evidence"]
        rows = [
            [gate["gate"], "passed" if gate["passed"] else "failed", gate["sentence"]]
            for gate in evidence["gates"]
        ]
        blocks += [
            Text("The gates at the latest judgement:"),
            Table(["gate", "", "evidence"], rows),
        ]
        if evidence.get("overruled"):
            blocks.append(Text(f"Overruled by a person: {', '.join(evidence['overruled'])}."))
    return Section("Promotions", blocks)


def fairness_section(contract: Contract, row: database.Row) -> Section:
    """Return the section with approval rates by group, for each protected attribute.

    The section also shows the demographic parity ratio, and the contract's limit `min_ratio`.
    """
    rule = contract.promotion.fairness
    judged = ", ".join(_label(contract, name) for name in contract.fairness_attributes)
    blocks: list[Block] = [
        Text(
            "A loan is approved at a probability below "
            f"{contract.decision.approve_below:g}. Measured on the loans of the hold-out that the "
            "model judges. The demographic parity ratio is the lowest group's approval rate over "
            f"the highest. Its floor is {rule.min_ratio:g}, for {judged or 'no column'}."
        )
    ]
    for parity in (row["evaluation"] or {}).get("fairness", []):
        name = parity["attribute"]
        label = _label(contract, name)
        ratio = "cannot be computed" if parity["ratio"] is None else f"is {parity['ratio']:.3f}"
        is_judged = name in contract.fairness_attributes
        text = f"{label}: the ratio {ratio}{'' if is_judged else ' (shown, not judged)'}."
        left_out = [f"{e['group']} ({e['left_out']})" for e in parity["groups"] if e["left_out"]]
        if left_out:
            text += f" Left out of it: {'; '.join(left_out)}."
        if parity["ratio"] is not None and parity["ratio_of_all"] != parity["ratio"]:
            text += f" With the levels that are not groups it is {parity['ratio_of_all']:.3f}."
        blocks += [
            Text(text),
            Table(
                [label, "loans", "approved", "95 % interval", "defaulted"],
                [
                    [
                        each["group"], f"{each['rows']:,}", f"{each['approval_rate']:.1%}",
                        f"{each['low']:.1%} to {each['high']:.1%}", f"{each['default_rate']:.1%}",
                    ]
                    for each in parity["groups"]
                ],
                frozenset({1, 2, 3, 4}),
            ),
            Plot(
                draw_approval(parity, label),
                f"Approval by {label.lower()}; hollow points are left out of the ratio.",
            ),
        ]  # fmt: skip
    return Section("Fairness by group", blocks)


def leaks_section(contract: Contract, row: database.Row) -> Section:
    """Return the section with the columns whose verdict in the leak report is not `clean`."""
    report = row.get("leaks")
    title = "Leaks"
    if report is None:
        return Section(title, [Text("No leak report was recorded.")])
    findings = [each for each in report["findings"] if each["verdict"] != "clean"]
    clean = len(report["findings"]) - len(findings)
    blocks: list[Block] = [
        Text(
            "How much of the outcome each column alone gives away, among the loans that a "
            f"model judges. {clean} of {len(report['findings'])} columns are clean."
        )
    ]
    if findings:
        rows = [
            [
                _label(contract, each["column"]), each["role"], each["verdict"],
                _auc(each["judged"]["auc"]), _auc(each["judged"]["null_auc"]),
                ", ".join(str(level["level"]) for level in each["judged"]["near_pure"]),
                "; ".join(each["reasons"]),
            ]
            for each in findings
        ]  # fmt: skip
        head = ["column", "role", "verdict", "AUC", "AUC of nulls", "near-pure levels", "why"]
        blocks.append(Table(head, rows, frozenset({3, 4})))
    return Section(title, blocks)


def _auc(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _label(contract: Contract, name: str) -> str:
    return contract.by_name[name].label
