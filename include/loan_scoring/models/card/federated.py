"""Make the card's section on a model that was trained at several sites."""

from typing import Any

from loan_scoring import database
from loan_scoring.contract.federated import LINEAR
from loan_scoring.models.card.blocks import Block, Note, Section, Table, Text

HEADS = {"alone": "site alone", "federated": "federated", "pooled": "pooled"}


def federated_sections(row: database.Row) -> list[Section]:
    """Return the section on a federated run. Empty if the model was trained in one place."""
    run = (row["evaluation"] or {}).get("federated")
    if run is None:
        return []
    comparison = run["comparison"]
    names = [name for name in HEADS if name in comparison["overall"]]
    rows = [
        [each["site"], f"{each.get('training_loans', run['loans']):,}",
         *(auc_cell(each.get(name)) for name in names)]
        for each in (*comparison["sites"], comparison["overall"])
    ]  # fmt: skip
    head = ["site", "training loans", *(f"AUC, {HEADS[name]}" for name in names)]
    blocks: list[Block] = [
        Text(
            "No application left its site. Each model is measured on the hold-out of the site in "
            "its row, with a 95 % interval. `Alone` has only that site's loans; in the last row it "
            "is the mean of these models."
            + (" `Pooled` has the loans of all sites in one place, as an upper bound."
               if comparison["is_pooled"] else "")
        ),
        Table(head, rows, frozenset(range(1, len(head)))),
        Text(privacy_text(run)),
        *(Note(line, "bad") for line in left_out_lines(run)),
        Text(f"{cost_text(run)}."),
    ]  # fmt: skip
    return [Section("Federated training", blocks)]


def auc_cell(value: dict[str, float] | None) -> str:
    if value is None:
        return ""
    if "lower" not in value:
        return f"{value['auc']:.4f} (mean)"
    return f"{value['auc']:.4f} ({value['lower']:.3f} to {value['upper']:.3f})"


def left_out_lines(result: dict[str, Any]) -> list[str]:
    """Return a line for each site that was left out."""
    return [
        f"left out in round {each['round']}: {each['site']}: {each['reason']}"
        for each in result["left_out"]
    ]


def privacy_text(result: dict[str, Any]) -> str:
    """Return one sentence on what protects the loans of the sites."""
    policy, parts = result["policy"], []
    if policy["secure_aggregation"]:
        counts = "counts" if result["algorithm"] not in LINEAR else "counts and updates"
        parts.append(f"the server saw sums of {counts} only (SecAgg+)")
        if result["algorithm"] not in LINEAR:
            parts.append("but the trees of each site")
    else:
        parts.append("the server saw the counts and updates of each site")
    if policy.get("epsilon") is not None:
        parts.append(
            f"differential privacy of each loan with epsilon {policy['epsilon']:g} and delta "
            f"{policy['delta']:g}, over all that a site sent but its figures on the hold-out"
        )
    else:
        parts.append(f"no count or leaf of fewer than {policy['min_loans']} loans")
        parts.append("no noise, so no differential privacy")
    return f"Privacy: {', '.join(parts)}."


def cost_text(result: dict[str, Any]) -> str:
    return (
        f"{result['algorithm']}, {result['policy']['rounds']} rounds, {result['seconds']:.0f} s, "
        f"{result['bytes_to_server'] / 1e6:.1f} MB to the server, "
        f"{result['bytes_to_sites'] / 1e6:.1f} MB to the sites"
    )
