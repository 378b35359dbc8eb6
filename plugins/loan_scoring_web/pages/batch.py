"""The page of one batch: what came in, how it was scored, and how it differs from the baseline."""

from collections.abc import Mapping
from typing import Any

from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring_web.pages import plots
from loan_scoring_web.pages.compared import compared_columns
from loan_scoring_web.pages.overview import amount_unit

PER_PAGE = 100


def read_batches_page(session: Session, until: str | None) -> dict[str, Any]:
    """Return the batches up to one, newest first, and whether there are older ones."""
    found = database.rows(session.connection, "select_nights", nights=PER_PAGE + 1, until=until)
    nights = found[::-1]
    return {
        "nights": nights[:PER_PAGE],
        "older": nights[PER_PAGE]["batch_id"] if len(nights) > PER_PAGE else None,
        "until": until,
    }


def read_batch_page(session: Session, batch_id: str) -> dict[str, Any] | None:
    """Return what the page of a batch shows, None where there is no such batch."""
    connection, contract = session.connection, session.contract
    nights = database.rows(connection, "select_nights", nights=1, until=batch_id)
    if not nights or nights[0]["batch_id"] != batch_id:
        return None
    night = nights[0]
    runs = database.rows(connection, "select_batch_runs", batch_id=batch_id)
    for run in runs:
        run["dag_id"] = f"{contract.portfolio}_{run['stage']}"
        run["is_of_airflow"] = not run["run"].startswith("cli-")
    judged = database.rows(
        connection, "select_quality_of_revision", batch_id=batch_id, revision=night["revision"]
    )
    quarantined = database.rows(connection, "select_quarantine_counts", batch_id=batch_id)
    return {
        "night": night,
        "neighbours": database.row(connection, "select_neighbours", batch_id=batch_id),
        "revisions": database.rows(connection, "select_batch_revisions", batch_id=batch_id),
        "runs": runs,
        "alerts": database.rows(connection, "select_alerts", batch_id=batch_id, alerts=20),
        "failed": [each for each in judged if not each["is_success"]],
        "judged": len(judged),
        "has_quality_page": settings.quality_page_path(
            contract.portfolio, batch_id, night["revision"]
        ).is_file(),
        "rules": [each for each in quarantined if each["revision"] == night["revision"]],
        "gone": database.rows(connection, "select_dropped", batch_id=batch_id),
        "unit": amount_unit(contract),
        **(_scored(session, night) if night["scoring_run_id"] else {}),
    }


def _scored(session: Session, night: database.Row) -> dict[str, Any]:
    """Return what scoring and metrics made of the batch."""
    connection, contract = session.connection, session.contract.under(night["policy"])
    run = {"scoring_run_id": night["scoring_run_id"]}
    model = database.row(
        connection, "select_model_baseline", model_version=night["propensity_version"]
    )
    if model is None:
        raise StateError(f"the model {night['propensity_version']} is not on record")
    counted = {
        row["feature"]: row for row in database.rows(connection, "select_distributions", **run)
    }
    performance = database.rows(connection, "select_performance_of_run", **run)
    personas = database.row(
        connection, "select_persona_groups", model_version=night["personas_version"]
    )
    return {
        "features": compared_columns(
            contract,
            model,
            counted,
            database.rows(connection, "select_drift_of_run", **run),
        ),
        "scores_plot": _scores(contract, model, counted),
        "decisions": _decisions(counted),
        "personas": _personas(counted, performance, personas or {"metrics": {}}),
        "measured": {
            (row["metric"], row["basis"]): row for row in performance if row["segment"] == "all"
        },
        "fairness": _fairness(contract, database.rows(connection, "select_fairness_of_run", **run)),
        "policy": contract.decision,
    }


def _scores(
    contract: Contract, model: database.Row, counted: Mapping[str, database.Row]
) -> plots.Plot | None:
    """Draw the scores of the batch over those of the hold-out, with the decision's thresholds."""
    histogram = counted.get("default_probability", {}).get("histogram")
    if not histogram:
        return None
    known = model["histogram"]
    bins = len(histogram)
    middles = [(place + 0.5) / bins for place in range(bins)]
    sides = [("batch", histogram, "--blue")]
    if known:
        both = [paid + bad for paid, bad in zip(known["paid"], known["defaulted"], strict=True)]
        sides.insert(0, ("hold-out of the model", both, "--grey"))
    data = [
        {
            "type": "scatter", "mode": "lines", "name": name, "x": middles,
            "y": [count / max(sum(counts), 1) for count in counts],
            "line": {"color": colour, "width": 2, "shape": "hvh"}, "fill": "tozeroy",
            "fillcolor": "rgba(127,127,127,0.12)", "hovertemplate": "%{y:.1%}",
        }
        for name, counts, colour in sides
    ]  # fmt: skip
    limits = (
        (contract.decision.approve_below, "review from"),
        (contract.decision.decline_from, "decline from"),
    )
    return plots.make_plot(
        data,
        xaxis={"title": {"text": "default probability"}, "range": [0, 1], "tickformat": ".0%"},
        yaxis={"tickformat": ".0%", "rangemode": "tozero", "title": {"text": "share"}},
        shapes=[
            {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1,
             "line": {"color": "--text", "width": 1, "dash": "dot"}}
            for at, _ in limits
        ],
        annotations=[
            {"x": at, "y": 1, "yref": "paper", "text": f"{word} {at:g}", "showarrow": False,
             "xanchor": "left", "yanchor": "top", "xshift": 4}
            for at, word in limits
        ],
    )  # fmt: skip


def _decisions(counted: Mapping[str, database.Row]) -> list[dict[str, Any]]:
    counts = counted.get("decision", {}).get("counts", {})
    total = sum(counts.values())
    return [
        {"decision": name, "loans": counts.get(name, 0), "share": counts.get(name, 0) / total}
        for name in plots.DECISIONS
        if total
    ]


def _personas(
    counted: Mapping[str, database.Row], performance: list[database.Row], model: database.Row
) -> list[dict[str, Any]]:
    """Return each persona with its size now and at training, and what it is worth."""
    row = counted.get("persona")
    counts = row["counts"] if row else {}
    total = sum(counts.values()) or 1
    known = {each["name"]: each for each in model["metrics"].get("personas", [])}
    found = {
        (each["segment"], each["metric"]): each["value"]
        for each in performance
        if each["basis"] == "estimated"
    }
    return [
        {
            "name": name,
            "loans": loans,
            "share": loans / total,
            "share_at_training": known.get(name, {}).get("share"),
            "default_rate": known.get(name, {}).get("default_rate"),
            "approval_rate": found.get((name, "approval_rate")),
            "loss": found.get((name, "loss_of_approved")),
        }
        for name, loans in sorted(counts.items(), key=lambda each: -each[1])
    ]


def _fairness(contract: Contract, rows: list[database.Row]) -> list[dict[str, Any]]:
    """Return each protected attribute with its metrics and groups."""
    found = []
    for attribute in dict.fromkeys(row["attribute"] for row in rows):
        of = [row for row in rows if row["attribute"] == attribute]
        column = contract.by_name.get(attribute)
        found.append(
            {
                "label": column.label if column else attribute,
                "metrics": of,
                "groups": of[0]["groups"],
                "plot": _groups(of[0]["groups"]),
            }
        )
    return found


def _groups(groups: list[dict[str, Any]]) -> plots.Plot:
    """Draw the approval rate of each group with its interval."""
    names = [plots.plot_label(each["group"]) for each in groups]  # may be alike: ticks, not places
    places = list(range(len(groups)))
    rates = [each["approval_rate"] for each in groups]
    trace = {
        "type": "scatter", "mode": "markers", "x": rates, "y": places,
        "marker": {
            "color": "--blue", "size": 9,
            "symbol": ["circle" if each["left_out"] is None else "circle-open" for each in groups],
        },
        "error_x": {
            "type": "data", "symmetric": False, "color": "--blue", "thickness": 1.2, "width": 4,
            "array": [max(each["high"] - each["approval_rate"], 0) for each in groups],
            "arrayminus": [max(each["approval_rate"] - each["low"], 0) for each in groups],
        },
        "hovertemplate": "%{x:.1%}<extra></extra>",
    }  # fmt: skip
    return plots.make_plot(
        [trace],
        hovermode="closest",
        showlegend=False,
        xaxis={"range": [0, 1], "tickformat": ".0%", "title": {"text": "approved"}},
        yaxis={
            "autorange": "reversed", "tickmode": "array", "tickvals": places, "ticktext": names,
        },
    )  # fmt: skip
