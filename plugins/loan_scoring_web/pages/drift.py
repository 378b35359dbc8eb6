"""Read the template values of the drift page: drift of each column, and performance, by night."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.causes import compared_name
from loan_scoring_web.pages import plots
from loan_scoring_web.pages.nights import chosen_nights, range_of
from loan_scoring_web.pages.words import LEVELS, TESTS, severity, test_name

BOTH = "lines+markers"
KINDS = {
    "data": "Inputs",
    "joint": "Inputs together",
    "prediction": "Predictions",
    "target": "Outcomes",
    "model": "Scores against outcomes",
}
"""Title of each kind of drift. The drift map shows the kinds in this order."""


def read_drift_page(
    session: Session,
    nights: int,
    since: str | None = None,
    until: str | None = None,
    *,
    shows_stable: bool = False,
) -> dict[str, Any]:
    """Return the template values of the drift page: the drift map and the performance plots.

    The newest night comes first in the map, because a narrow window shows the first ones.

    Args:
        session: database session that reads.
        nights: number of nights up to `until`, unless `since` is given.
        since: oldest night to show.
        until: newest night to show.
        shows_stable: whether rows are shown that are stable on all nights.
    """
    connection = session.connection
    chosen = chosen_nights(session, nights, since, until)
    batch_ids = [row["batch_id"] for row in chosen]
    history = database.rows(connection, "select_performance_history", batch_ids=batch_ids)
    return {
        "batch_ids": batch_ids,
        "groups": _groups(session, chosen, shows_stable),
        "cells_of": drift_cells,
        "nights": nights,
        "since": since,
        "until": until,
        "range": range_of(nights, since, until),
        "shows_stable": shows_stable,
        "auc_plot": _auc(history),
        "rate_plot": _rate(history),
        "loss_plot": _loss(history),
        "last": history[-1] if history else None,
        "as_of": max(
            (row["outcomes_as_of"] for row in history if row["outcomes_as_of"]), default=None
        ),
    }


def read_cells(
    session: Session,
    chosen: Sequence[database.Row],
    kind: str | None = None,
    feature: str | None = None,
) -> list[database.Row]:
    """Return the cells of the drift map, each with the words that a page prints.

    `shown` is what the cell prints: the PSI if the PSI is what sets the level, otherwise the word
    for the worst test. So the colour of a cell is that of the printed test.

    Args:
        session: database session that reads.
        chosen: nights, as `chosen_nights` returns them.
        kind: kind of drift. None means all kinds.
        feature: column. None means all columns.
    """
    nights = {row["scoring_run_id"]: row["batch_id"] for row in chosen}
    cells = database.rows(
        session.connection, "select_drift_map", scoring_run_ids=list(nights), kind=kind,
        feature=feature,
    )  # fmt: skip
    for cell in cells:
        cell["batch_id"] = nights[cell["scoring_run_id"]]
        cell["level_name"] = LEVELS[cell["level"]]
        cell["severity"] = severity(cell["level_name"])
        if cell["psi"] is not None and cell["level_of_psi"] == cell["level"]:
            cell["shown"] = f"{round(cell['psi'], 2) + 0.0:.2f}"
        else:
            worst = next(iter(cell["tests"] or []), None)
            cell["shown"] = TESTS.get(worst, (worst, ""))[0] if worst else "\N{MIDDLE DOT}"
        names = ", ".join(map(test_name, cell["tests"] or []))
        cell["why"] = f"{cell['severity']}{' by ' if names else ''}{names}"
    return cells


def drift_cells(row: dict[str, Any], batches: str) -> Markup:
    """Return the cells of a row of the drift map as HTML.

    A year has 17,000 cells, so they are joined here and not by the template.

    Args:
        row: row of the drift map.
        batches: start of the address of the page of a batch.
    """
    label, start = escape(row["label"]), escape(batches)
    cells = (_cell(cell, label, start) for cell in row["cells"])
    return Markup("".join(cells))  # noqa: S704 - every cell is HTML


def _cell(cell: database.Row | None, label: Markup, batches: Markup) -> Markup:
    if cell is None:
        return Markup('<td class="none"></td>')
    level, shown = cell["level_name"], escape(cell["shown"])
    if not cell["level"]:
        return Markup(f'<td class="{level}">{shown}</td>')  # noqa: S704 - every part is escaped
    night, why = escape(cell["batch_id"]), escape(cell["why"])
    return Markup(  # noqa: S704 - every part is escaped
        f'<td class="{level}"><a href="{batches}{night}" title="{label}, {night}: {why}">'
        f"{shown}</a></td>"
    )


def _groups(
    session: Session, chosen: Sequence[database.Row], shows_stable: bool
) -> list[dict[str, Any]]:
    """Return the rows of the drift map, grouped by kind of drift.

    Within a kind, the row with the highest drift level on the newest night comes first. Rows with
    the same level are sorted by the sum of the levels over all nights, then by the highest PSI,
    in descending order. `stable` lists the labels of the rows that are left out because they are
    stable on all nights.
    """
    batch_ids = [row["batch_id"] for row in chosen]
    found: dict[tuple[str, str], dict[str, database.Row]] = {}
    for cell in read_cells(session, chosen):
        found.setdefault((cell["kind"], cell["feature"]), {})[cell["batch_id"]] = cell

    def rank(nights: dict[str, database.Row]) -> tuple[int, int, float]:
        newest = nights.get(batch_ids[0])
        return (
            -newest["level"] if newest else 0,
            -sum(each["level"] for each in nights.values()),
            -max(each["psi"] or 0.0 for each in nights.values()),
        )

    rows = [
        {
            "kind": kind,
            "feature": feature,
            "label": compared_name(session.contract, feature),
            "is_stable": not any(each["level"] for each in nights.values()),
            "cells": [nights.get(batch_id) for batch_id in batch_ids],
        }
        for (kind, feature), nights in sorted(found.items(), key=lambda each: rank(each[1]))
    ]
    return [
        {
            "title": title,
            "rows": [row for row in of_kind if shows_stable or not row["is_stable"]],
            "stable": [row["label"] for row in of_kind if row["is_stable"]],
        }
        for kind, title in KINDS.items()
        if (of_kind := [row for row in rows if row["kind"] == kind])
    ]


def _auc(history: list[database.Row]) -> plots.Plot:
    x = [row["batch_id"] for row in history]

    def values(name: str) -> list[float | None]:
        return [row[name] for row in history]

    data = [
        plots.night_line(
            "estimated", x, values("estimated_auc"), "--blue",
            (values("estimated_auc_lower"), values("estimated_auc_upper")),
        ),
        plots.night_line(
            "realised", x, values("realised_auc"), "--orange",
            (values("realised_auc_lower"), values("realised_auc_upper")), mode="markers",
        ),
    ]  # fmt: skip
    data += _baseline(x, values("baseline_auc"))
    return plots.make_plot(data, xaxis=plots.nights_axis(x), yaxis={"tickformat": ".2f"})


def _rate(history: list[database.Row]) -> plots.Plot:
    x = [row["batch_id"] for row in history]
    data = [
        plots.night_line(
            name, x, [row[f"{name}_default_rate"] for row in history], colour, form=".1%", mode=mode
        )
        for name, colour, mode in (
            ("estimated", "--blue", BOTH),
            ("realised", "--orange", "markers"),
        )
    ]
    data += _baseline(x, [row["baseline_default_rate"] for row in history])
    axis = {"tickformat": ".0%", "rangemode": "tozero"}
    return plots.make_plot(data, xaxis=plots.nights_axis(x), yaxis=axis)


def _loss(history: list[database.Row]) -> plots.Plot:
    x = [row["batch_id"] for row in history]
    data = [
        plots.night_line(name, x, [row[column] for row in history], colour, form=",.3s", mode=mode)
        for name, column, colour, mode in (
            ("expected", "expected_loss_of_approved", "--blue", BOTH),
            ("realised", "realised_loss_of_approved", "--orange", "markers"),
        )
    ]
    axis = {"tickformat": "~s", "rangemode": "tozero"}
    return plots.make_plot(data, xaxis=plots.nights_axis(x), yaxis=axis)


def _baseline(x: list[str], values: list[float | None]) -> list[dict[str, Any]]:
    if not any(values):
        return []
    trace = plots.night_line("on the hold-out", x, values, "--grey", mode="lines")
    return [trace | {"line": {"color": "--grey", "width": 1, "dash": "dash", "shape": "hv"}}]
