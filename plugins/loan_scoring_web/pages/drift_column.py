"""Read the template values of one compared column over nights: its tests and its distributions."""

from collections.abc import Mapping, Sequence
from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import MissingError
from loan_scoring.monitoring.alerts.causes import compared_name
from loan_scoring_web.pages import plots
from loan_scoring_web.pages.compared import both_shares
from loan_scoring_web.pages.drift import KINDS, read_cells
from loan_scoring_web.pages.nights import chosen_nights, range_of

LEAST_PSI = 0.001
"""The smallest PSI that the log axis shows. A corrected PSI may be 0 or negative."""


def read_column_page(
    session: Session, kind: str, feature: str, nights: int, since: str | None, until: str | None
) -> dict[str, Any]:
    """Return the template values of the page of one compared column.

    Args:
        session: database session that reads.
        kind: kind of drift, such as `data`.
        feature: column, or what else is compared, such as `decision`.
        nights: number of nights up to `until`, unless `since` is given.
        since: oldest night to show.
        until: newest night to show.

    Raises:
        MissingError: the feature was not compared on any of the nights.
    """
    chosen = chosen_nights(session, nights, since, until)
    cells = {cell["batch_id"]: cell for cell in read_cells(session, chosen, kind, feature)}
    if not cells and not (since or until):
        raise MissingError(f"no column {feature[:40]} of kind {kind[:20]} was compared so far")
    return {
        "kind": kind,
        "kind_title": KINDS.get(kind, kind),
        "feature": feature,
        "label": compared_name(session.contract, feature),
        "unit": getattr(session.contract.by_name.get(feature), "unit", None),
        "nights": nights,
        "since": since,
        "until": until,
        "range": range_of(nights, since, until),
        "cells": [cells[row["batch_id"]] for row in chosen if row["batch_id"] in cells],
        "psi_plot": _psi(session, [cells.get(row["batch_id"]) for row in chosen[::-1]], chosen),
        **_distributions(session, chosen, kind, feature),
    }


def _psi(
    session: Session, cells: Sequence[database.Row | None], chosen: Sequence[database.Row]
) -> plots.Plot | None:
    """Draw the PSI by night on a log axis, the oldest night first, with the limits."""
    x = [row["batch_id"] for row in chosen[::-1]]
    psi = [cell["psi"] if cell else None for cell in cells]
    if not any(value is not None for value in psi):
        return None
    colours = {"stable": "--green", "warning": "--orange", "critical": "--drifted"}
    line = plots.night_line(
        "PSI, corrected", x, [None if v is None else max(v, LEAST_PSI) for v in psi], "--grey"
    )
    line |= {
        "customdata": psi,
        "hovertemplate": "%{customdata:.3f}",
        "marker": {
            "size": 8,
            "color": [colours[cell["severity"]] if cell else "--grey" for cell in cells],
        },
    }
    limits = [
        plots.level_line(name, x, at, colour)
        for name, at, colour in (
            ("warning from", session.contract.monitoring.psi_attention, "--orange"),
            ("critical from", session.contract.monitoring.psi_drifted, "--drifted"),
        )
    ]
    axis = {"type": "log", "title": {"text": "PSI"}, "dtick": 1}
    return plots.make_plot([line, *limits], xaxis=plots.nights_axis(x), yaxis=axis)


def _distributions(
    session: Session, chosen: Sequence[database.Row], kind: str, feature: str
) -> dict[str, Any]:
    """Return the shares of each bin or level by night, of the nights that one model scored.

    Bins are those of a model's baseline, so nights of another model have other bins.
    """
    nothing: dict[str, Any] = {"spread_plot": None, "shares": None, "version": None}
    if not chosen:
        return nothing
    version = chosen[0]["propensity_version"]
    same = [row for row in chosen if row["propensity_version"] == version]
    model = database.row(session.connection, "select_model_baseline", model_version=version)
    baseline = ((model or {}).get("baseline") or {}).get(feature)
    found = {
        row["scoring_run_id"]: row
        for row in database.rows(
            session.connection, "select_column_of_nights",
            scoring_run_ids=[row["scoring_run_id"] for row in same], kind=kind, feature=feature,
        )
    }  # fmt: skip
    shares: dict[str, tuple[Sequence[str], Sequence[float]]] = {}
    names: dict[str, float] = {}
    for row in same:
        sides = both_shares(baseline, found.get(row["scoring_run_id"]))
        if sides is not None:
            shares[row["batch_id"]] = (sides[0], sides[2])
            names |= dict(zip(*sides[:2], strict=True))
    if not shares:
        return nothing
    column = session.contract.by_name.get(feature)
    by_night: dict[str, Mapping[str, float]] = {
        night: dict(zip(*each, strict=True)) for night, each in shares.items()
    }
    has_labels = column is not None and bool(column.level_labels)
    labels = [column.shown_level(name) if column and has_labels else name for name in names]
    return {
        "version": version,
        "is_cut": len(same) < len(chosen),
        "shares": {
            "names": labels,
            "baseline": list(names.values()),
            "nights": [
                {"batch_id": night, "shares": [each.get(name, 0.0) for name in names]}
                for night, each in by_night.items()
            ],
        },
        "spread_plot": _spread(labels, list(names.values()), by_night, list(names)),
    }


def _spread(
    labels: Sequence[str],
    baseline: Sequence[float],
    by_night: Mapping[str, Mapping[str, float]],
    names: Sequence[str],
) -> plots.Plot:
    """Draw the shares as a map: a row for each bin or level, the baseline and then the nights."""
    nights = sorted(by_night)
    heat = {
        "type": "heatmap",
        "x": ["baseline", *nights],
        "y": list(range(len(names))),
        "z": [
            [share, *(by_night[night].get(name, 0.0) for night in nights)]
            for name, share in zip(names, baseline, strict=True)
        ],
        "zmin": 0,
        "colorscale": [[0, "--quiet"], [1, "--blue"]],
        "colorbar": {"tickformat": ".0%", "thickness": 12},
        "xgap": 1,
        "ygap": 1,
        "customdata": [[plots.plot_label(each)] * (len(nights) + 1) for each in labels],
        "hovertemplate": "%{customdata}: %{z:.1%}<extra>%{x}</extra>",
    }
    step = -(-len(nights) // 6) or 1
    ticks = nights[step - 1 :: step]
    axis = plots.nights_axis(["baseline", *nights])
    axis["tickvals"] = ["baseline", *ticks]
    axis["ticktext"] = ["baseline", *(night[5:] for night in ticks)]
    rows = {
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": [plots.plot_label(each, 28) for each in labels],
        "autorange": "reversed",
        "showgrid": False,
    }
    return plots.make_plot([heat], xaxis=axis, yaxis=rows, hovermode="closest")
