"""Read the template values of the drift page: drift of each column, and performance, by night."""

from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.causes import PREDICTION_LABELS
from loan_scoring_web.pages import plots

BOTH = "lines+markers"
LEVELS = ("stable", "attention", "drifted")
KINDS = {
    "data": "Inputs",
    "joint": "Inputs together",
    "prediction": "Predictions",
    "target": "Outcomes",
    "model": "Scores against outcomes",
}
"""Title of each kind of drift. The drift map shows the kinds in this order."""


def read_drift_page(session: Session, nights: int) -> dict[str, Any]:
    """Return the template values of the drift page: the drift map and the performance plots.

    Args:
        session: database session that reads.
        nights: number of most recent nights to show.
    """
    connection = session.connection
    history = database.rows(connection, "select_performance_history", batches=nights)
    batch_ids = [row["batch_id"] for row in history]
    cells = database.rows(connection, "select_drift_map", batch_ids=batch_ids)
    return {
        "batch_ids": batch_ids,
        "groups": _groups(session.contract, batch_ids, cells),
        "nights": nights,
        "auc_plot": _auc(history),
        "rate_plot": _rate(history),
        "loss_plot": _loss(history),
        "last": history[-1] if history else None,
        "as_of": max(
            (row["outcomes_as_of"] for row in history if row["outcomes_as_of"]), default=None
        ),
    }


def compared_name(contract: Contract, feature: str) -> str:
    """Return the label of a feature in drift tests, such as a column or the default rate."""
    column = contract.by_name.get(feature)
    if column is not None:
        return column.label
    labels = {**PREDICTION_LABELS, "all": "All inputs together", "is_default": "The default rate"}
    return labels.get(feature, feature)


def _groups(
    contract: Contract, batch_ids: list[str], cells: list[database.Row]
) -> list[dict[str, Any]]:
    """Return the rows of the drift map, grouped by kind of drift.

    Within a kind, the row with the highest drift level on the last night comes first. Rows with
    the same level are sorted by the sum of the levels over all nights, then by the highest PSI,
    in descending order.
    """
    found: dict[tuple[str, str], dict[str, database.Row]] = {}
    for cell in cells:
        cell["level_name"] = LEVELS[cell["level"]]
        found.setdefault((cell["kind"], cell["feature"]), {})[cell["batch_id"]] = cell

    def rank(nights: dict[str, database.Row]) -> tuple[int, int, float]:
        last = nights.get(batch_ids[-1])
        return (
            -last["level"] if last else 0,
            -sum(each["level"] for each in nights.values()),
            -max(each["psi"] or 0.0 for each in nights.values()),
        )

    rows = [
        {
            "kind": kind,
            "feature": feature,
            "label": compared_name(contract, feature),
            "cells": [nights.get(batch_id) for batch_id in batch_ids],
        }
        for (kind, feature), nights in sorted(found.items(), key=lambda each: rank(each[1]))
    ]
    return [
        {"title": title, "rows": of_kind}
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
