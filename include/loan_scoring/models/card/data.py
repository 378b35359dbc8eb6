"""Make the card's sections on the data: which loans were learnt from, and who is not known."""

from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.models import registry
from loan_scoring.models.card.blocks import Block, Section, Table, Text

METHODS = {
    "none": "The fit knows nothing of them.",
    "reweighting": (
        "Reject inference by reweighting: each loan counts by the inverse of the probability that "
        "an applicant like it has an outcome. This assumes that applicants who are alike in every "
        "column default alike, approved or not."
    ),
    "parcelling": (
        "Reject inference by parcelling: the fit also reads declined applicants, with outcomes "
        "drawn from the model's calibrated probability times {factor:g}. The factor is an "
        "assumption."
    ),
}


def data_section(row: database.Row, looks: str | None = None) -> Section:
    """Return the section with the batches, the cohorts that were left out, and the hold-out.

    Args:
        row: row of the propensity model.
        looks: how often the hold-out was looked at, or None.
    """
    data = row["training_data"]
    rows = [
        [
            each["batch_id"], str(each["revision"]), f"{each['applications']:,}",
            f"{each['defaults']:,}", _whole(each.get("applicants")), each["sha256"][:12],
            each["source"],
        ]
        for each in data.get("batches", [])
    ]  # fmt: skip
    holdout = (row["evaluation"] or {}).get("holdout")
    blocks: list[Block] = [
        Table(
            ["batch", "revision", "loans", "defaults", "applicants", "sha256", "source"],
            rows,
            frozenset({1, 2, 3, 4}),
        ),
        Text(f"Outcomes as of {registry.outcomes_as_of(row)}."),
        *_cohorts(data),
        Text(f"Fingerprint of rows, contract and code: {row['fingerprint']}."),
    ]
    if holdout is not None:
        blocks.append(
            Text(
                f"{holdout['share']:.0%} of the loans are in the hold-out, never in a training, "
                f"chosen by {holdout['rule']} with seed {holdout['seed']}."
            )
        )
    if looks is not None:
        blocks.append(Text(looks))
    return Section("Data", blocks)


def _cohorts(data: dict[str, Any]) -> list[Block]:
    """Return which cohorts were used and left out. Empty if the model does not record them."""
    cohorts, counts = data.get("cohorts"), data.get("applicants")
    if not cohorts:
        return []
    last = f"The last cohort used is batch {cohorts['last']}."
    blocks: list[Block] = [Text(f"{last} {cohorts['left_out_text'] or 'No loan is left out'}.")]
    # Models of earlier releases do not have it.
    if drawn := cohorts.get("drawn_text"):
        blocks.append(Text(f"{drawn}."))
    left_out = cohorts["left_out"]["batches"]
    if left_out:
        head = ["left out", "with an outcome", "of these defaults", "can have one", "of these have"]
        names = ("labelled", "defaults", "funded", "funded_labelled")
        rows = [[each["batch_id"], *(f"{each[name]:,}" for name in names)] for each in left_out]
        blocks.append(Table(head, rows, frozenset({1, 2, 3, 4})))
    if counts:
        blocks.append(
            Text(
                f"The baseline of drift tests is of all {counts['applicants']:,} applicants of the "
                f"period; {counts['labelled']:,} of them have a final outcome."
            )
        )
    return blocks


def declined_sections(contract: Contract, row: database.Row) -> list[Section]:
    """Return the section on applicants who can have no outcome. Empty if everyone can have one."""
    found = (row["evaluation"] or {}).get("declined")
    if found is None:
        return []
    known_for = (row["training_data"].get("cohorts") or {}).get("known_for")
    label = contract.by_name[known_for].label if known_for in contract.by_name else "approved"
    first = (
        f"Outcomes are known for a part of the applicants only ({label}). "
        f"{found['applicants']:,} others in the batches of the training have none. No outcome "
        "supports what the model predicts for applicants like them, and every figure of this card "
        "is of loans with an outcome."
    )
    if not found["applicants"]:
        first += (
            " The batches hold no such applicant, so it is not known how they differ; their "
            "inputs are missing in the baseline too, and nights with them may alarm."
        )
    blocks: list[Block] = [Text(first)]
    if found["auc"] is not None:
        blocks.append(
            Text(
                f"Their inputs tell them from loans with an outcome with an AUC of "
                f"{found['auc']:.3f} (0.5: alike; near 1: hardly anyone like them has an outcome). "
                f"On average the model predicts {found['mean_probability']:.1%} for them; "
                f"{found['default_rate']:.1%} of the loans that it learnt from defaulted."
            )
        )
    done = METHODS[found["method"]].format(**found)
    if found["method"] == "reweighting":
        done += (
            f" The weighted loans are worth {found['effective_loans']:,.0f} loans of equal weight; "
            f"the highest weight is {found['highest_weight']:.2f}, clipped at the 99th percentile."
        )
    elif found["method"] == "parcelling":
        done += f" {found['read']:,} declined applicants were read."
    elif contract.training.reject_inference != "none":
        done += " There were too few of them for reject inference."
    return [Section("Applicants without an outcome", [*blocks, Text(done)])]


def _whole(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
