"""Write a model card from the database rows of its models, trials and verdicts.

Neither loans nor model artifacts are read, so a card can be written at any time.
"""

from loan_scoring import database
from loan_scoring.contract import Contract, under_model
from loan_scoring.database.files import write_artifact
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.card import checks, decisions, judgement, performance
from loan_scoring.models.card.blocks import Block, Card, Section, Table, Text
from loan_scoring.models.card.data import data_section, declined_sections
from loan_scoring.models.card.federated import federated_sections
from loan_scoring.models.card.mitigation import mitigation_section
from loan_scoring.models.card.over_time import looks_text, over_time_section
from loan_scoring.models.card.reasons import reasons_section
from loan_scoring.models.card.render import render_card_html
from loan_scoring.models.card.shadow import shadow_sections
from loan_scoring.models.cutoffs import read_comparison
from loan_scoring.models.registry import PERSONAS, PROPENSITY
from loan_scoring.models.training.trials import recorded_failures, recorded_trials


def write_card(session: Session, model_version: str) -> None:
    """Write the model card of a version as an HTML file beside the artifacts of the portfolio.

    The file is called `<model_version>.html`.

    Raises:
        StateError: there is no such version.
    """
    page = render_card_html(read_card(session, model_version))
    write_artifact(session.contract.portfolio, f"{model_version}.html", page.encode())


def read_card(session: Session, model_version: str) -> Card:
    """Return the card of a pair of models.

    Args:
        session: database session.
        model_version: either version of the pair, propensity or personas.

    Raises:
        StateError: there is no such version.
    """
    with database.transaction(session.connection):
        versions = registry.fitted_pair(session, model_version)
        propensity = registry.model_row(session, versions[PROPENSITY])
        personas = registry.model_row(session, versions[PERSONAS])
        verdicts = database.rows(
            session.connection, "select_verdicts", model_version=versions[PROPENSITY]
        )
        champion = registry.champion_version(session, PROPENSITY)
        looks = _looks(session, propensity)
        comparison = read_comparison(session, versions[PROPENSITY])
    results = recorded_trials(session, registry.trials_of(propensity))
    failures = recorded_failures(session, registry.trials_of(propensity))
    shadow = shadow_sections(session, versions[PROPENSITY])
    is_champion = champion == versions[PROPENSITY]
    contract = under_model(session.contract, propensity["training_data"])
    return Card(
        f"Model card: {versions[PROPENSITY]}",
        f"{contract.title} ({contract.portfolio}), with {versions[PERSONAS]}. Fitted "
        f"{propensity['created_at']:%Y-%m-%d %H:%M} UTC by loan-scoring "
        f"{propensity['code_version']}; {'in use' if is_champion else 'not in use'}.",
        [
            _purpose_section(contract, propensity),
            *_derived_section(contract, propensity),
            performance.metrics_section(contract, propensity),
            *judgement.confusion_section(propensity),
            *federated_sections(propensity),
            *decisions.long_run_sections(propensity),
            *performance.plot_sections(contract, propensity),
            *judgement.scorecard_section(contract, propensity),
            *judgement.benchmark_section(contract, propensity),
            over_time_section(contract, propensity),
            *decisions.grades_sections(propensity, comparison),
            *decisions.cutoffs_sections(contract, propensity, comparison),
            checks.promotions_section(verdicts),
            *shadow,
            performance.candidates_section(contract, propensity, results, failures),
            performance.personas_section(personas),
            reasons_section(contract, propensity, verdicts),
            checks.fairness_section(contract, propensity),
            *mitigation_section(contract, propensity),
            checks.leaks_section(contract, propensity),
            data_section(propensity, looks),
            *declined_sections(contract, propensity),
            _limits_section(contract),
            _files_section(propensity, personas),
        ],
    )


def _looks(session: Session, row: database.Row) -> str | None:
    """Return how often the hold-out of a model was looked at. None if the model has no policy."""
    policy = (row["evaluation"] or {}).get("holdout")
    if policy is None:
        return None
    looks = registry.count_looks(session, policy, row["model_version"])
    return looks_text(policy, looks, session.contract.promotion.confidence)


def _purpose_section(contract: Contract, row: database.Row) -> Section:
    labels = ", ".join(contract.by_name[name].label for name in row["features"])
    return Section(
        "Purpose",
        [
            Text(
                f"{row['algorithm']} predicts the probability of default of a loan from "
                f"{len(row['features'])} columns that are known at application: {labels}."
            )
        ],
    )


def _derived_section(contract: Contract, row: database.Row) -> list[Section]:
    """Return the section on columns of a model that no file has. Empty if there are none."""
    derived = contract.derived
    read = derived.closure(row["features"])
    rows = [
        [
            column.label,
            column.unit or "",
            name,
            f"look-up {derived.lookup_of[name].name}, column {column.sources[0]}"
            if name in derived.lookup_of
            else column.sources[0],
        ]
        for name, column in derived.columns.items()
        if name in read
    ]
    if not rows:
        return []
    return [Section("Features", [Table(["label", "unit", "name", "computed from"], rows)])]


def _limits_section(contract: Contract) -> Section:
    excluded = "; ".join(each.label for each in contract.exclusions)
    protected = ", ".join(contract.by_name[name].label for name in contract.protected_names)
    blocks: list[Block] = [
        Text(
            f"Only for new applications of {contract.title}, as they are at application. Not for "
            "other products, for running loans, or for setting a price: it was not fitted on "
            "these. The probability ranks applications; alone it is no reason to decline one."
        ),
        Text(
            f"Approve below {contract.decision.approve_below:g}, decline from "
            f"{contract.decision.decline_from:g}; a person reviews those in between."
        ),
    ]
    if excluded:
        blocks.append(
            Text(
                "Applications that no model should judge are referred to a person: "
                f"{excluded}. The figures above do not include them."
            )
        )
    if protected:
        blocks.append(
            Text(
                f"Protected columns, which the model never reads: {protected}. Other columns may "
                "be proxies for them, so approval by group is monitored."
            )
        )
    return Section("Limits of use", blocks)


def _files_section(*rows: database.Row) -> Section:
    files = [[row["model_version"], row["artifact"], row["artifact_sha256"]] for row in rows]
    parameters = [
        [row["model_version"], name, "none" if value is None else str(value)]
        for row in rows
        for name, value in sorted(row["parameters"].items())
    ]
    return Section(
        "Artifacts and parameters",
        [
            Table(["version", "file", "sha256"], files),
            Text("All parameters, defaults included:"),
            Table(["version", "parameter", "value"], parameters),
        ],
    )
