"""Read the template values of the segments of a portfolio over nights, by persona or by column."""

from typing import Any

from loan_scoring import database
from loan_scoring.contract.grades import BY_GRADE
from loan_scoring.database.session import Session
from loan_scoring_web.pages import plots
from loan_scoring_web.pages.nights import chosen_nights, range_of

COLOURS = ("--blue", "--orange", "--green", "--violet", "--grey", "--drifted")
DRAWN = len(COLOURS)
"""Maximum number of segments in a plot, those with the most loans on the newest night."""


def read_segments_page(
    session: Session, by: str, nights: int, since: str | None, until: str | None
) -> dict[str, Any]:
    """Return the template values of the segments over nights.

    Args:
        session: database session that reads.
        by: `persona`, or a column of the contract's `performance.segments`.
        nights: number of nights up to `until`, unless `since` is given.
        since: oldest night to show.
        until: newest night to show.
    """
    chosen = chosen_nights(session, nights, since, until)
    runs = {row["scoring_run_id"]: row["batch_id"] for row in chosen}
    ways = [
        row["segmented_by"]
        for row in database.rows(
            session.connection, "select_ways_to_segment", scoring_run_ids=list(runs)
        )
    ]
    rows = database.rows(
        session.connection, "select_segments_of_nights", scoring_run_ids=list(runs),
        segmented_by=by,
    )  # fmt: skip
    column = session.contract.by_name.get(by)
    totals: dict[str, int] = {}
    for row in rows:
        row["batch_id"] = runs[row["scoring_run_id"]]
        row["name"] = column.shown_level(row["segment"]) if column else row["segment"]
        totals[row["batch_id"]] = totals.get(row["batch_id"], 0) + row["loans"]
    found: dict[str, dict[str, database.Row]] = {}
    for row in rows:
        row["share"] = row["loans"] / totals[row["batch_id"]]
        found.setdefault(row["name"], {})[row["batch_id"]] = row
    batch_ids = [row["batch_id"] for row in chosen if row["batch_id"] in totals]
    newest = batch_ids[0] if batch_ids else ""
    largest = sorted(
        found, key=lambda name: -(found[name][newest]["loans"] if newest in found[name] else 0)
    )[:DRAWN]
    return {
        "by": by,
        "ways": [(each, _way(session, each)) for each in ways],
        "nights": nights,
        "since": since,
        "until": until,
        "range": range_of(nights, since, until),
        "batch_ids": batch_ids,
        "segments": [
            {"name": name, "cells": [nights_of.get(each) for each in batch_ids]}
            for name, nights_of in found.items()
        ],
        "share_plot": _plot(found, largest, batch_ids, "share"),
        "rate_plot": _plot(found, largest, batch_ids, "expected_default_rate"),
        "approval_plot": _plot(found, largest, batch_ids, "approval_rate"),
        "left_out": max(len(found) - DRAWN, 0),
    }


def _way(session: Session, by: str) -> str:
    column = session.contract.by_name.get(by)
    return column.label if column else {BY_GRADE: "Grade"}.get(by, by.capitalize())


def _plot(
    found: dict[str, dict[str, database.Row]], names: list[str], batch_ids: list[str], figure: str
) -> plots.Plot:
    x = batch_ids[::-1]
    lines = [
        plots.night_line(
            plots.plot_label(name, 28), x,
            [found[name][each][figure] if each in found[name] else None for each in x],
            colour, form=".1%",
        )
        for name, colour in zip(names, COLOURS, strict=False)
    ]  # fmt: skip
    axis = {"tickformat": ".0%", "rangemode": "tozero"}
    return plots.make_plot(lines, xaxis=plots.nights_axis(x), yaxis=axis)
