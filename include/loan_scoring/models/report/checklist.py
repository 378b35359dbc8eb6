"""Say for each item of a model's file whether records fill it, where, and who fills it if not."""

from dataclasses import dataclass

from loan_scoring.counted import counted
from loan_scoring.models.card.blocks import Note, Section, Text
from loan_scoring.models.report.chapters import VALIDATION, place
from loan_scoring.models.report.facts import Facts
from loan_scoring.models.report.words import table


@dataclass(frozen=True)
class Item:
    """An item of the checklist. `found` says from which records it is filled; None means open."""

    title: str
    chapter: str
    found: str | None
    who: str


def checklist(facts: Facts) -> list[Item]:
    """Return all items of a model's file, in the order of the report."""
    said, contract, owner = facts.governance, facts.contract, facts.contract.owner
    signed = {each["signed_as"]: each["signed_by"] for each in facts.signatures}
    realised = sum(each["realised_auc"] is not None for each in facts.runs)
    leaks = facts.propensity["leaks"]
    data, since, use = "Data and pre-processing", "What happened since", "Deployment"
    accept = "Review, acceptance and promotion"

    def some(number: int, noun: str, plural: str | None = None) -> str | None:
        return counted(number, noun, plural) if number else None

    def written(field: str) -> str | None:
        return f"contract, governance.{field}" if getattr(said, field) else None

    def by_owner(field: str) -> str:
        return f"{owner}: contract, governance.{field}"

    def measured(*parts: str) -> str | None:
        return next((f"registry: {each}" for each in parts if facts.has_measured(each)), None)

    def judged(gate: str) -> str | None:
        return f"gate {gate}" if facts.has_judged(gate) else None

    training = "a training with the contract's field "
    return [
        Item("Summary", "Summary", "registry", ""),
        Item("Business purpose", "Purpose and scope", written("purpose"), by_owner("purpose")),
        Item("Intended use and scope", "Purpose and scope", written("intended_use"),
             by_owner("intended_use")),
        Item("Lineage and quarantine of the data", data,
             some(len(facts.batches), "batch", "batches"), "a training from ingested batches"),
        Item("Columns, exclusions, nulls", data, f"contract, {len(contract.columns)} columns", ""),
        Item("Feature selection, leaks", "Feature selection and leaks",
             some(len(leaks["findings"]), "column checked", "columns checked") if leaks else None,
             "a training with a leak report"),
        Item("Modelling data set", "Modelling data set",
             some(facts.propensity["training_data"].get("applications", 0), "loan"), ""),
        Item("Selection among candidates", "Candidates and selection",
             some(len(facts.trials), "trial"), "a training with candidates"),
        Item("Scorecard or benchmark", "Candidates and selection",
             measured("scorecard", "benchmark"), training + "training.candidates.scorecard"),
        Item("Optimisation of parameters", "Optimisation",
             some(len(facts.trials), "trial") if len(facts.trials) > 1 else None,
             training + "training.candidates"),
        Item("Validation on a hold-out", VALIDATION,
             some(facts.propensity["metrics"].get("rows", 0), "loan"), "a training"),
        Item("Calibration", VALIDATION, measured("calibration"), "a training"),
        Item("Fairness by group", VALIDATION,
             some(len(facts.evaluation.get("fairness", [])), "attribute"),
             "protected columns in the contract"),
        Item("Mitigation of bias", VALIDATION, measured("mitigation"),
             training + "training.mitigation"),
        Item("Out-of-time validation", VALIDATION, measured("out_of_time"),
             training + "training.out_of_time"),
        Item("Rating grades and their backtest", VALIDATION, measured("grades"),
             training + "grades"),
        Item("Cut-offs and swap sets", VALIDATION, measured("cutoffs"),
             training + "business.margin"),
        Item("Reasons are tested", VALIDATION, judged("reasons"), training + "reasons"),
        Item("Shadow nights", since, some(len(facts.shadow_nights), "night"),
             "nights with the contract's field promotion.shadow_nights"),
        Item("Judged by gates", accept,
             some(len(facts.evidence.get("gates", [])), "gate"), "loan-scoring train"),
        Item("Peer review", accept, signed.get("review"),
             "a person who did not train the model, on the page Models"),
        Item("Acceptance", accept, signed.get("acceptance"),
             "the person who answers for the use of the model, on the page Models"),
        Item("Drift and retraining policy", "Drift and retraining", "contract", ""),
        Item("Someone is told of alerts", "Drift and retraining",
             some(len(contract.notifications), "channel"), f"{owner}: notifications"),
        Item("Batches scored", since, some(len(facts.runs), "batch", "batches"), "the nights"),
        Item("Realised performance", since,
             some(realised, "batch with outcomes", "batches with outcomes"), "files of outcomes"),
        Item("Performance by segment", since,
             some(sum(each["segments"] for each in facts.segments), "segment"),
             "the nights; contract, performance.segments"),
        Item("Decisions of people", since,
             some(sum(each["loans"] for each in facts.reviews), "loan"), "the desk"),
        Item("Deployment and rollback", use, some(len(facts.stages), "stage"), "a run"),
        Item("Foreseen improvements", "Foreseen improvements", written("improvements"),
             by_owner("improvements")),
        Item("Contact", "Contact", written("contact"), by_owner("contact")),
        Item("Persons responsible", "Contact", written("responsible"), by_owner("responsible")),
        Item("Risk register", "Risks", written("risks"), by_owner("risks")),
    ]  # fmt: skip


def checklist_section(items: list[Item]) -> Section:
    """Return the section at the top of the report: each item, and whether it is filled."""
    filled = sum(item.found is not None for item in items)
    return Section(
        "Checklist",
        [
            Note(
                f"{filled} of {len(items)} items are filled from records, the others are open.",
                "good" if filled == len(items) else "bad",
            ),
            table(
                ["item", "chapter", "", "filled from, or who fills it"],
                [
                    [
                        item.title, place(item.chapter), "open" if item.found is None else "filled",
                        item.who if item.found is None else item.found,
                    ]
                    for item in items
                ],
            ),
        ],
    )  # fmt: skip


def open_section(items: list[Item]) -> Section:
    """Return the section with the items that are open."""
    rows = [[item.title, item.who] for item in items if item.found is None]
    if not rows:
        return Section("Open items", [Text("None.")])
    return Section("Open items", [table(["open", "who fills it"], rows)])
