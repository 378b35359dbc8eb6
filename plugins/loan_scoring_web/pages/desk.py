"""The desk's pages: what of the queue and of an application is shown, and how it is drawn."""

from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Any
from urllib.parse import urlencode

from loan_scoring import database
from loan_scoring.contract import Column, Contract
from loan_scoring.database.session import Session
from loan_scoring.desk.application import ApplicationField, DeskApplication, read_application
from loan_scoring.desk.decisions import decision_token
from loan_scoring.desk.queue import QueueFilter, QueuePage, count_queue, read_queue
from loan_scoring.models.registry import PROPENSITY
from loan_scoring.scoring.request import CHAMPION, ScoredRequest
from loan_scoring_web.pages.plots import Plot, make_plot, plot_label
from loan_scoring_web.pages.templating import shown_value

STRONGEST = 10
"""Inputs that the waterfall tells apart; the others are one step."""


def read_queue_page(
    session: Session, batch_id: str | None, wanted: QueueFilter, after: tuple[float, Any] | None
) -> dict[str, Any]:
    """Return what the page of the queue shows."""
    found = read_queue(session, batch_id, wanted, after)
    contract = session.contract.under(found.run["policy"])
    with database.transaction(session.connection):
        batches = database.rows(session.connection, "select_scored_batches")
    return {
        "queue": found,
        "batches": batches,
        "counts": count_queue(session, found.run),
        "wanted": wanted,
        "first": None if after is None else _query(found, wanted, None),
        "next": None if found.next is None else _query(found, wanted, found.next),
        "reason_labels": {each.reason: each.label for each in contract.exclusions},
        "policy": contract.decision,
    }


def _query(found: QueuePage, wanted: QueueFilter, after: tuple[float, Any] | None) -> str:
    """Return the query of the page of the queue that begins after a place in it."""
    asked = {
        "batch": found.run["batch_id"],
        "decision": wanted.decision,
        "persona": wanted.persona,
        "reason": wanted.reason,
        "low": None if wanted.low is None else f"{100 * wanted.low:g}",
        "high": None if wanted.high is None else f"{100 * wanted.high:g}",
        "decided": {None: None, True: "yes", False: "no"}[wanted.is_decided],
        "after": None if after is None else f"{after[0]!r}/{after[1]}",
    }
    return urlencode({name: value for name, value in asked.items() if value is not None})


def read_application_page(session: Session, loan_id: Any) -> dict[str, Any]:
    """Return what the page of one application shows before a what-if is asked."""
    shown = read_application(session, loan_id)
    contract = session.contract.under(shown.score["policy"])
    with database.transaction(session.connection):
        models = database.rows(session.connection, "select_models")
    histogram, chance = shown.score["histogram"], shown.score["default_probability"]
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
        "waterfall": draw_waterfall(shown) if shown.base is not None else None,
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


def what_if_inputs(contract: Contract, shown: DeskApplication) -> list[ApplicationField]:
    """Return the inputs that the what-if form asks for: those that a score depends on.

    What the contract calculates from others follows them and is not asked for.
    """
    calculated = {ratio.column for ratio in contract.ratios}
    excluding = {each.column for each in contract.exclusions}
    read = {each.name for each in shown.inputs if each.is_read}
    if not read:  # of a referred one no model is asked: any that is known in time
        read = {column.name for column in contract.features}
    return [each for each in shown.inputs if each.name in (read | excluding) - calculated]


def form_field(column: Column, given: ApplicationField) -> dict[str, Any]:
    """Return an input as a field of the what-if form."""
    value = field_text(given.value)
    levels = list(column.levels or [])
    if column.levels and value and value not in levels:
        levels.append(value)
    return {
        "name": column.name,
        "label": column.label,
        "unit": column.unit,
        "value": value,
        "levels": levels if not column.is_numeric else None,
        "is_open": column.open_levels,
        "is_numeric": column.is_numeric,
    }


def changed_inputs(
    contract: Contract, shown: DeskApplication, form: Mapping[str, str]
) -> dict[str, Any]:
    """Return what a form of `asked` changes; an empty field is null."""
    return {
        each.name: form[each.name].strip() or None
        for each in what_if_inputs(contract, shown)
        if each.name in form and form[each.name].strip() != field_text(each.value)
    }


def field_text(value: Any) -> str:
    """Return a value as a field of a form holds it."""
    return "" if value is None else str(value)


def what_if_result(
    contract: Contract, answer: ScoredRequest, changed: Mapping[str, Any], shown: DeskApplication
) -> dict[str, Any]:
    """Return what a what-if showed, beside what the application's own score is."""
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
    """Return what was written into a form as it was scored: a number as one, no value as None."""
    if value in column.null_tokens:
        return None
    return float(value) if column.is_numeric and isinstance(value, str) else value


def share_below(histogram: Mapping[str, Any], chance: float) -> float:
    """Return the share of loans with a lower probability, evenly spread within a bin."""
    edges = histogram["edges"]
    counts = [paid + bad for paid, bad in _loans(histogram)]
    total = sum(counts)
    less = 0.0
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        less += count * min(max((chance - low) / (high - low), 0.0), 1.0)
    return less / total if total else 0.0


def _loans(histogram: Mapping[str, Any]) -> list[tuple[int, int]]:
    return list(zip(histogram["paid"], histogram["defaulted"], strict=True))


def draw_holdout(contract: Contract, histogram: Mapping[str, Any], chance: float) -> Plot:
    """Draw the hold-out's probabilities, and where this application's stands among them."""
    edges = histogram["edges"]
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    width = edges[1] - edges[0]
    total = sum(paid + bad for paid, bad in _loans(histogram)) or 1
    bars = [
        {
            "type": "bar",
            "name": name,
            "x": middles,
            "y": [count / total for count in histogram[key]],
            "width": width,
            "marker": {"color": colour},
            "hovertemplate": "%{y:.1%}",
        }
        for key, name, colour in (
            ("paid", "paid", "--grey"),
            ("defaulted", "defaulted", "--orange"),
        )
    ]
    policy = contract.decision
    marks: list[tuple[float, str, str, str]] = [
        (policy.approve_below, "approve below", "--dim", "dot"),
        (policy.decline_from, "decline from", "--dim", "dot"),
        (chance, f"this one: {chance:.1%}", "--text", "solid"),
    ]
    return make_plot(
        bars,
        barmode="stack",
        bargap=0,
        xaxis={"tickformat": ".0%", "range": [0, 1], "title": {"text": "Probability of default"}},
        yaxis={"tickformat": ".0%", "title": {"text": "Share of loans"}},
        shapes=[
            {
                "type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper",
                "line": {"color": colour, "dash": dash, "width": 2},
            }
            for at, _, colour, dash in marks
        ],
        annotations=[
            {
                "x": at, "y": 1 - 0.15 * row, "yref": "paper", "text": words, "showarrow": False,
                "xanchor": "left", "xshift": 4, "yanchor": "top", "bgcolor": "--panel",
                "font": {"color": colour},
            }
            for row, (at, words, colour, _) in enumerate(marks)
        ],
    )  # fmt: skip


def draw_waterfall(shown: DeskApplication) -> Plot:
    """Draw the way from the base to the log-odds of an application, the strongest inputs first."""
    strongest = shown.contributions[:STRONGEST]
    others = shown.contributions[STRONGEST:]
    steps = [(_named(each), each.contribution or 0.0) for each in strongest]
    if others:
        steps.append((f"{len(others)} others", sum(each.contribution or 0 for each in others)))
    base = shown.base or 0.0
    names = ["mean of the training loans", *(name for name, _ in steps), "log-odds of default"]
    values = [base, *(step for _, step in steps), base + sum(step for _, step in steps)]
    reached = [0.0, *accumulate(values[:-1])]
    room = 0.12 * (max(reached) - min(reached))  # for the text beside the outermost bars
    return make_plot(
        [
            {
                "type": "waterfall",
                "orientation": "h",
                "measure": ["absolute", *("relative" for _ in steps), "total"],
                # Names may be alike: places are numbers, and names their ticks.
                "y": list(range(len(names))),
                "x": values,
                "text": [
                    f"{value:+.2f}" if 0 < place < len(names) - 1 else f"{value:.2f}"
                    for place, value in enumerate(values)
                ],
                # The ends' bars are long: a text outside them would lie on the names.
                "textposition": ["inside", *("outside" for _ in steps), "inside"],
                "insidetextanchor": "end",
                "insidetextfont": {"color": "#ffffff"},
                "cliponaxis": False,
                "hoverinfo": "skip",
                "increasing": {"marker": {"color": "--orange"}},
                "decreasing": {"marker": {"color": "--green"}},
                "totals": {"marker": {"color": "--blue"}},
                "connector": {"line": {"color": "--line", "width": 1}},
            }
        ],
        hovermode=False,
        yaxis={
            "autorange": "reversed", "tickmode": "array", "tickvals": list(range(len(names))),
            "ticktext": [plot_label(name, 60) for name in names], "showgrid": False,
        },
        xaxis={
            "title": {"text": "Log-odds of default"}, "zeroline": False,
            "range": [min(reached) - room, max(reached) + room],
        },
        margin={"l": 12, "r": 48, "t": 8, "b": 44},
        showlegend=False,
    )  # fmt: skip


def _named(given: ApplicationField) -> str:
    return f"{given.label}: {shown_value(given.value)}{_unit(given)}"


def _unit(given: ApplicationField) -> str:
    return f" {given.unit}" if given.unit and given.value is not None else ""
