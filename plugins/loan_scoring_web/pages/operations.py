"""Read the template values of the operations page: latency, traffic, errors, service level."""

from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring_web.pages import plots

NIGHTS = 30
COLOURS = {"ingest": "--blue", "score": "--green", "metrics": "--violet", "outcomes": "--orange"}


def read_operations_page(session: Session) -> dict[str, Any]:
    """Return the template values of the operations page: service level, stages, errors, plots."""
    connection = session.connection
    slo = database.row(connection, "select_slo")
    nights = database.rows(connection, "select_nights", nights=NIGHTS, until=None)
    batch_ids = [night["batch_id"] for night in nights]
    return {
        "slo": slo,
        "budget_share": _budget_share(slo),
        "stages": database.rows(connection, "select_stage_costs"),
        "consumers": database.rows(connection, "select_stream_reports"),
        "errors": database.rows(connection, "select_last_errors"),
        "nights": nights,
        "latency_plot": _latency(nights, slo),
        "stages_plot": _stages(
            batch_ids, database.rows(connection, "select_stage_nights", batch_ids=batch_ids)
        ),
        "traffic_plot": _traffic(nights),
    }


def _budget_share(slo: database.Row | None) -> float | None:
    """Return the remaining share of the error budget, from 0 to 1.

    Return None if the contract has no service level, or if the error budget is 0, for example
    because no night was due.
    """
    if slo is None or not slo["error_budget"]:
        return None
    return float(max(slo["error_budget_left"] / slo["error_budget"], 0.0))


def _latency(nights: list[database.Row], slo: database.Row | None) -> plots.Plot:
    x = [night["batch_id"] for night in nights]
    minutes = [
        (night["scored_at"] - night["first_landed_at"]).total_seconds() / 60
        if night["scored_at"]
        else None
        for night in nights
    ]
    data = [
        {
            "type": "scatter", "mode": "lines+markers", "name": "landing to published scores",
            "x": x, "y": minutes, "line": {"color": "--blue", "width": 2},
            "marker": {"color": "--blue"}, "hovertemplate": "%{y:.3~g} min",
        }
    ]  # fmt: skip
    if slo is not None and x:
        line = plots.level_line("service level", x, slo["scored_within_minutes"], "--orange")
        data.append(line | {"hovertemplate": "%{y:g} min"})
    axis = {"title": {"text": "minutes"}, "type": "log", "dtick": 1}
    return plots.make_plot(data, xaxis=plots.nights_axis(x), yaxis=axis, showlegend=True)


def _stages(batch_ids: list[str], rows: list[database.Row]) -> plots.Plot:
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": plots.plot_label(stage),
            "x": [row["batch_id"] for row in rows if row["stage"] == stage],
            "y": [float(row["seconds"]) for row in rows if row["stage"] == stage],
            "line": {"color": COLOURS.get(stage, "--grey"), "width": 2},
            "hovertemplate": "%{y:.1f} s",
        }
        for stage in sorted({row["stage"] for row in rows})
    ]
    axis = {"title": {"text": "task seconds"}, "type": "log", "dtick": 1}
    return plots.make_plot(data, xaxis=plots.nights_axis(batch_ids), yaxis=axis)


def _traffic(nights: list[database.Row]) -> plots.Plot:
    x = [night["batch_id"] for night in nights]
    data = [
        {
            "type": "bar", "name": name, "x": x, "y": [night[column] for night in nights],
            "marker": {"color": colour}, "hovertemplate": "%{y:,}",
        }
        for name, column, colour in (
            ("accepted", "accepted", "--blue"), ("quarantined", "quarantined", "--orange")
        )
    ]  # fmt: skip
    axis = {"title": {"text": "rows"}, "rangemode": "tozero"}
    return plots.make_plot(data, barmode="stack", xaxis=plots.nights_axis(x), yaxis=axis)
