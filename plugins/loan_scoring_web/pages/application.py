"""Read the template values of an application's page: score, decisions and what-if form."""

from collections.abc import Mapping, Sequence
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Column, Contract
from loan_scoring.database.session import Session
from loan_scoring.desk.application import ApplicationField, DeskApplication, read_application
from loan_scoring.desk.changes import SmallestChange
from loan_scoring.desk.decisions import decision_token
from loan_scoring.desk.similar import similar_cases
from loan_scoring.desk.words import deciding_percent
from loan_scoring.models.registry import PROPENSITY
from loan_scoring.scoring.request import CHAMPION, ScoredRequest
from loan_scoring_web.pages.application_plots import draw_holdout, draw_waterfall, share_below


def read_application_page(session: Session, loan_id: Any) -> dict[str, Any]:
    """Return the template values of an application's page, without a what-if result."""
    shown = read_application(session, loan_id)
    contract = session.contract.under(shown.score["policy"])
    with database.transaction(session.connection):
        models = database.rows(session.connection, "select_models")
    histogram, chance = shown.score["histogram"], shown.score["default_probability"]
    thresholds = (contract.decision.approve_below, contract.decision.decline_from)
    return {
        "shown": shown,
        "versions": [row["model_version"] for row in models if row["kind"] == PROPENSITY],
        "model": CHAMPION,
        "what_if": None,
        "faults": {},
        "form": {},
        "place": None if not histogram or chance is None else share_below(histogram, chance),
        "distribution": draw_holdout(contract, histogram, chance)
        if histogram and chance is not None
        else None,
        "points": draw_waterfall(shown, in_points=True) if shown.base is not None else None,
        "waterfall": draw_waterfall(shown) if shown.base is not None else None,
        "chance_text": deciding_percent(chance, thresholds),
        "marks": chance_marks(contract, shown.score),
        "expected_loss": _expected_loss(contract, shown.score),
        "similar": similar_cases(session, shown.score),
        "smallest": None,
        "fields": [
            form_field(contract.by_name[each.name], each)
            for each in what_if_inputs(contract, shown)
        ],
        "names": {column.name: column.label for column in contract.columns},
        "calculated": [ratio.column for ratio in contract.ratios],
        "seen": decision_token(shown.approvals),
        "can_be_decided": shown.score["decision"] in ("review", "refer"),
        "exclusion": next(
            (e.label for e in contract.exclusions if e.reason == shown.score["exclusion_reason"]),
            None,
        ),
    }


def chance_marks(contract: Contract, score: database.Row) -> dict[str, Any] | None:
    """Return what the bar of one application shows, in percent. None without a probability.

    `marks` are this loan, its persona and the portfolio's hold-out, each with a name and a default
    rate. The bar ends at 100, or at twice the largest value if that is less.
    """
    chance, histogram = score["default_probability"], score["histogram"]
    if chance is None:
        return None
    marks = [("this loan", 100 * chance), ("its persona", 100 * score["persona_default_rate"])]
    if histogram:
        loans = sum(histogram["paid"]) + sum(histogram["defaulted"])
        marks.append(("portfolio (hold-out)", 100 * sum(histogram["defaulted"]) / (loans or 1)))
    limits = (100 * contract.decision.approve_below, 100 * contract.decision.decline_from)
    end = min(100.0, 2 * max(*limits, *(value for _, value in marks)))
    return {"marks": marks, "limits": limits, "end": end}


def _expected_loss(contract: Contract, score: database.Row) -> float | None:
    """Return the expected loss: probability, times loss given default, times amount."""
    business, chance = contract.business, score["default_probability"]
    amount = score["application"].get(business.amount) if business else None
    if business is None or chance is None or amount is None:
        return None
    return float(chance * business.loss_given_default * float(amount))


def negotiable_inputs(contract: Contract, shown: DeskApplication) -> list[str]:
    """Return the inputs in which the smallest change that approves is looked for."""
    offered = [each.name for each in what_if_inputs(contract, shown)]
    chosen = contract.desk.negotiable
    if chosen is not None:
        return [name for name in chosen if name in offered]
    return [name for name in offered if name not in contract.protected_names]


def smallest_words(contract: Contract, found: Sequence[SmallestChange]) -> list[dict[str, Any]]:
    """Return the template values of the smallest changes: label, values as shown, probability."""
    return [
        {
            "label": contract.by_name[each.name].label,
            "before": _level(contract.by_name[each.name], each.before),
            "after": _level(contract.by_name[each.name], each.after),
            "chance": deciding_percent(
                each.default_probability, (contract.decision.approve_below,)
            ),
        }
        for each in found
    ]


def _level(column: Column, value: Any) -> Any:
    return column.shown_level(value) if isinstance(value, str) else value


def what_if_inputs(contract: Contract, shown: DeskApplication) -> list[ApplicationField]:
    """Return the inputs that a person may change in the what-if form.

    A person may change each input that the model uses, and each column that can exclude an
    application, unless its value is hidden. Ratios are left out, because they are calculated from
    other columns. Instead of a feature, the person changes the columns that the feature reads.
    """
    calculated = {ratio.column for ratio in contract.ratios}
    if contract.desk.mask_protected:
        calculated |= set(contract.protected_names)
    excluding = {each.column for each in contract.exclusions}
    read = {each.name for each in shown.inputs if each.is_read}
    if not read:  # there is no explanation, for example for `refer`, so offer all features
        read = {column.name for column in contract.features}
    read = {name for each in read for name in contract.derived.columns_read(each)}
    asked = {column.name for column in contract.columns} & (read | excluding) - calculated
    return [each for each in shown.inputs if each.name in asked]


def form_field(column: Column, given: ApplicationField) -> dict[str, Any]:
    """Return the template values of one field in the what-if form: label, unit, value, levels.

    Each level comes with its label.
    """
    value = field_text(given.value)
    levels = ["true", "false"] if column.type == "boolean" else column.listed_levels[:]
    if levels and value and value not in levels:
        levels.append(value)
    return {
        "name": column.name,
        "label": column.label,
        "unit": column.unit,
        "value": value,
        "levels": None
        if column.is_numeric
        else {each: column.shown_level(each) for each in levels},
        "is_open": column.is_open,
        "is_numeric": column.is_numeric,
    }


def changed_inputs(
    contract: Contract, shown: DeskApplication, form: Mapping[str, str]
) -> dict[str, Any]:
    """Return the new values of the inputs that a person has changed in the what-if form, by name.

    If the person has emptied a field, the new value is None.
    """
    return {
        each.name: form[each.name].strip() or None
        for each in what_if_inputs(contract, shown)
        if each.name in form and form[each.name].strip() != field_text(each.value)
    }


def field_text(value: Any) -> str:
    """Return a value as the string for a form field. None becomes an empty string."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def what_if_result(
    contract: Contract, answer: ScoredRequest, changed: Mapping[str, Any], shown: DeskApplication
) -> dict[str, Any]:
    """Return the template values of a what-if result: new score, model and changed inputs."""
    before = {each.name: each for each in shown.inputs}
    return {
        "score": answer.scores[0],
        "model": answer.propensity_version,
        "is_other_model": answer.propensity_version != shown.score["propensity_version"],
        "changes": [
            (before[name], _typed(contract.by_name[name], value))
            for name, value in changed.items()
            if name in before and field_text(value) != field_text(before[name].value)
        ],
    }


def _typed(column: Column, value: Any) -> Any:
    """Convert a string from the what-if form to the value that the model scored.

    The value is None for a null token, a float or a boolean if the column has such a type, and
    otherwise the label of a level.
    """
    if value in column.null_tokens:
        return None
    if column.type == "boolean":
        return value if value is None else field_text(value).lower() == "true"
    if not column.is_numeric and isinstance(value, str):
        return column.shown_level(value)
    return float(value) if column.is_numeric and isinstance(value, str) else value
