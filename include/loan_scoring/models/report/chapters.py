"""Write the chapters of the report on purpose, data, selection, validation and acceptance.

A section of the card stands in one chapter, as it is on the card. Sections that no chapter names
stand under validation, so that a new section of the card is never missing in the report.
"""

from collections.abc import Callable

from loan_scoring.models import registry
from loan_scoring.models.card.blocks import Block, Heading, Table, Text
from loan_scoring.models.promotion.signatures import ROLES, trained_by
from loan_scoring.models.report.facts import Facts
from loan_scoring.models.report.life import deployment, drift_policy, what_happened
from loan_scoring.models.report.registers import contact, risks
from loan_scoring.models.report.words import (
    MISSING,
    gap,
    number,
    policy_table,
    rate,
    signature_table,
    stated,
    table,
    when,
)
from loan_scoring.models.training.search import is_searched

VALIDATION = "Validation"

CARD = {
    "Purpose and scope": ("Purpose", "Limits of use"),
    "Data and pre-processing": ("Features",),
    "Feature selection and leaks": ("Leaks", "What the scores depend on"),
    "Modelling data set": ("Data", "Applicants without an outcome"),
    "Candidates and selection": ("Candidates",),
    "Review, acceptance and promotion": ("Promotions",),
    "Deployment": ("Artifacts and parameters",),
}
"""The sections of the card that a chapter takes over, by the title of the chapter."""


def of_card(facts: Facts, chapter: str) -> list[Block]:
    """Return the sections of the card that belong to a chapter, each below its title."""
    named = {title for titles in CARD.values() for title in titles}
    titles = CARD.get(chapter, ())
    if chapter == VALIDATION:
        titles = tuple(title for title in facts.sections if title not in named)
    blocks: list[Block] = []
    for title in titles:
        if title in facts.sections:
            blocks += [Heading(title), *facts.sections[title].blocks]
    return blocks


def summary(facts: Facts) -> list[Block]:
    """Return what a reader wants to know first: the model, its figures and its state."""
    row, metrics = facts.propensity, facts.propensity["metrics"]
    intervals = metrics.get("intervals") or {}
    low, high = intervals.get("auc") or (None, None)
    last = facts.verdicts[-1] if facts.verdicts else None
    realised = [each for each in facts.runs if each["realised_auc"] is not None]
    rows = [
        ["model", f"{facts.version} ({row['algorithm']}), with {facts.personas['model_version']}"],
        ["in use", "yes" if facts.champion == facts.version else f"no; {facts.champion} is"],
        ["fitted (UTC)", f"{when(row['created_at'])} by loan-scoring {row['code_version']}"],
        ["training started by", trained_by(row) or "no person on record"],
        ["loans with an outcome", f"{row['training_data'].get('applications', 0):,}"],
        ["AUC on the hold-out", f"{number(metrics.get('auc'))} ({number(low)} to {number(high)})"],
        ["calibration slope", number(metrics.get("calibration_slope"), 3)],
        ["default rate of the hold-out", rate(metrics.get("default_rate"))],
        ["last verdict", f"{last['verdict']} by {last['decided_by']}" if last else "not judged"],
        ["signed", ", ".join(each["signed_as"] for each in facts.signatures) or "by nobody"],
        ["batches scored", f"{len(facts.runs):,}, of which {len(realised):,} with outcomes"],
        ["alerts on them", f"{len(facts.alerts):,}, of which {_open(facts):,} not resolved"],
    ]  # fmt: skip
    return [table(["", ""], rows)]


def _open(facts: Facts) -> int:
    return sum(each["state"] != "resolved" for each in facts.alerts)


def purpose(facts: Facts) -> list[Block]:
    """Return business purpose, intended use and the decision, then the card's sections."""
    said, owner = facts.governance, facts.contract.owner
    target = facts.contract.target
    return [
        Heading("Business purpose"),
        *stated(said.purpose, "purpose", owner),
        Heading("Intended use"),
        *stated(said.intended_use, "intended_use", owner),
        Heading("Uses that are not intended"),
        *stated(said.not_intended, "not_intended", owner),
        Heading("What is predicted"),
        Text(
            f"{target.label}: {', '.join(target.positive)} in column {target.source}; paid: "
            f"{', '.join(target.negative)}. Outcomes are known for: "
            f"{facts.contract.outcomes.known_for}. An outcome is final after "
            f"{facts.contract.outcomes.window_days or 'no declared number of'} days."
        ),
        *of_card(facts, "Purpose and scope"),
    ]


def data(facts: Facts) -> list[Block]:
    """Return lineage and quarantine of the batches, the columns with nulls, and exclusions."""
    contract, baseline = facts.contract, facts.propensity["baseline"] or {}
    columns = []
    for column in [*contract.columns, *contract.derived.columns.values()]:
        seen = baseline.get(column.name)
        role = (
            "protected" if column.name in contract.protected_names
            else "feature" if column.name in facts.propensity["features"]
            else "not read"
        )  # fmt: skip
        nulls = rate(seen["nulls"] / seen["rows"], 2) if seen and seen.get("rows") else ""
        columns.append(
            [column.name, column.label, column.type, column.known, role, column.unit, nulls]
        )
    return [
        Heading("Lineage"),
        table(
            ["batch", "revision", "landed (UTC)", "received", "accepted", "quarantined",
             "rules broken"],
            [
                [
                    each["batch_id"], each["revision"], when(each["landed_at"]),
                    f"{each['received']:,}", f"{each['accepted']:,}", f"{each['quarantined']:,}",
                    each["rules"],
                ]
                for each in facts.batches
            ],
            {1, 3, 4, 5},
        ),
        table(
            ["batch", "revision", "sha256 of its files"],
            [[each["batch_id"], each["revision"], each["sha256"]] for each in facts.batches],
            {1},
        ),
        Text(
            "Values outside of the contract's types, levels, ranges and ratios are quarantined, "
            "never corrected. Nulls stay nulls."
        ),
        Heading("Columns"),
        table(
            ["column", "label", "type", "known at", "role", "unit", "nulls in the baseline"],
            columns,
            {6},
        ),
        Heading("Exclusions"),
        table(
            ["reason", "applications that no model scores"],
            [[each.reason, each.label] for each in contract.exclusions],
        ),
        *of_card(facts, "Data and pre-processing"),
    ]  # fmt: skip


def optimisation(facts: Facts) -> list[Block]:
    """Return what was searched, and the parameters that were chosen."""
    chosen = facts.propensity["metrics"].get("trial")
    policy = facts.contract.training
    if not facts.trials:
        return [Text("No comparison of candidates was recorded.")]
    names = sorted({name for each in facts.trials for name in each.trial.parameters})
    rows = [
        [
            f"{each.trial.name}{' (chosen)' if each.trial.name == chosen else ''}",
            *(each.trial.parameters.get(name) for name in names),
            number(each.mean("auc")),
        ]
        for each in facts.trials
    ]
    return [
        Text(
            f"{_searched(facts)}, each cross-validated in {len(facts.trials[0].folds)} folds with "
            f"seed {policy.seed}. No trial has seen the hold-out."
        ),
        table(["trial", *names, "AUC"], rows, set(range(1, len(names) + 2))),
    ]


def _searched(facts: Facts) -> str:
    found = sum(is_searched(each.trial.name) for each in facts.trials)
    declared = f"the {len(facts.trials) - found} trials that the contract declared at this training"
    return f"The search is {declared}" + (f", and {found} that Optuna suggested" if found else "")


def acceptance(facts: Facts) -> list[Block]:
    """Return the signatures, those that are open, and the card's section on promotions."""
    signed = {each["signed_as"] for each in facts.signatures}
    blocks: list[Block] = [
        Text(
            "Training started by: "
            f"{trained_by(facts.propensity) or 'no person on record'}. The contract asks for "
            f"signatures before a promotion: {facts.contract.promotion.signatures}."
        )
    ]
    if signed:
        blocks.append(signature_table(facts.signatures))
    blocks += [
        gap(f"{role}, by a person on the page Models or by loan-scoring models sign")
        for role in ROLES
        if role not in signed
    ]
    return [
        *blocks,
        *of_card(facts, "Review, acceptance and promotion"),
        Heading("What a promotion must show"),
        policy_table(facts.contract.promotion, "promotion"),
    ]


def improvements(facts: Facts) -> list[Block]:
    """Return what is foreseen, from the contract, and the requests for new models on record."""
    foreseen = facts.governance.improvements
    blocks: list[Block] = [
        table(["foreseen improvement"], [[each] for each in foreseen])
        if foreseen
        else gap(f"the contract's field governance.improvements, by {facts.contract.owner}")
    ]
    if facts.requests:
        blocks += [Text("Requests for new models since the fit:"), _requests(facts)]
    return blocks


def _requests(facts: Facts) -> Table:
    return table(
        ["when (UTC)", "batch", "cause", "verdict", "why"],
        [
            [
                when(each["requested_at"]), each["batch_id"], each["cause"], each["verdict"],
                each["reason"],
            ]
            for each in facts.requests
        ],
    )  # fmt: skip


def card_only(title: str) -> Callable[[Facts], list[Block]]:
    """Return a chapter that consists of sections of the card."""

    def write(facts: Facts) -> list[Block]:
        return of_card(facts, title) or [Text(f"{title}: {MISSING}.")]

    return write


def modelling_data(facts: Facts) -> list[Block]:
    """Return the loans and default rates of training part and hold-out, then the card's data."""
    row, metrics = facts.propensity, facts.propensity["metrics"]
    batches = row["training_data"].get("batches", [])
    loans = sum(each["applications"] for each in batches)
    defaults = sum(each["defaults"] for each in batches)
    tested = metrics.get("rows")
    return [
        table(
            ["part", "loans", "default rate"],
            [
                ["all that training read", f"{loans:,}", rate(defaults / loans if loans else None)],
                [
                    "hold-out, as far as a model judges it",
                    MISSING if tested is None else f"{tested:,}",
                    rate(metrics.get("default_rate")),
                ],
            ],
            {1, 2},
        ),
        Text(f"Outcomes as of {registry.outcomes_as_of(row)}."),
        *of_card(facts, "Modelling data set"),
    ]


CHAPTERS: dict[str, Callable[[Facts], list[Block]]] = {
    "Summary": summary,
    "Purpose and scope": purpose,
    "Data and pre-processing": data,
    "Feature selection and leaks": card_only("Feature selection and leaks"),
    "Modelling data set": modelling_data,
    "Candidates and selection": card_only("Candidates and selection"),
    "Optimisation": optimisation,
    VALIDATION: card_only(VALIDATION),
    "Review, acceptance and promotion": acceptance,
    "Drift and retraining": drift_policy,
    "What happened since": what_happened,
    "Deployment": lambda facts: [*deployment(facts), *of_card(facts, "Deployment")],
    "Risks": lambda facts: risks(facts.contract),
    "Foreseen improvements": improvements,
    "Contact": lambda facts: contact(facts.contract),
}
"""The chapters of the report, in order."""


def place(chapter: str) -> str:
    """Return how a chapter is referred to, such as `8 Validation`."""
    return f"{list(CHAPTERS).index(chapter) + 1} {chapter}"
