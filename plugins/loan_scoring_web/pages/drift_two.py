"""Read the template values of two batches side by side: counts, decisions and each column."""

from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import MissingError
from loan_scoring_web.pages.compared import compared_columns
from loan_scoring_web.pages.nights import MOST_NIGHTS, chosen_nights
from loan_scoring_web.pages.plots import DECISIONS
from loan_scoring_web.pages.words import LEVELS, Shares, severity

Side = dict[str, Any]
MINUS, NONE = "\N{MINUS SIGN}", "\N{EN DASH}"


def read_two_page(session: Session, left: str | None, right: str | None) -> dict[str, Any]:
    """Return the template values of two batches side by side.

    Args:
        session: database session that reads.
        left: batch on the left. None means the night before `right`.
        right: batch on the right. None means the newest night.

    Raises:
        MissingError: a batch has no scores.
    """
    known = [row["batch_id"] for row in chosen_nights(session, MOST_NIGHTS)]
    right = right or next(iter(known), None)
    left = left or next((each for each in known if right and each < right), right)
    sides = [_side(session, each) for each in (left, right) if each]
    return {
        "left": left,
        "right": right,
        "known": known,
        "sides": sides,
        "changes": _changes(*sides) if len(sides) == 2 else {},
        "rows": _rows(session, *sides) if len(sides) == 2 else [],
    }


def _side(session: Session, batch_id: str) -> Side:
    nights = database.rows(session.connection, "select_nights", nights=1, until=batch_id)
    night = nights[0] if nights and nights[0]["batch_id"] == batch_id else None
    if night is None or night["scoring_run_id"] is None:
        raise MissingError(f"batch {batch_id} has no scores to compare")
    decisions = night["decisions"] or {}
    return night | {
        "shares": {
            name: Shares(decisions.get(name, 0), night["applications"], night["scored"])
            for name in DECISIONS
        }
    }


def _changes(left: Side, right: Side) -> dict[str, str]:
    """Return in words how much each figure of the right batch differs from that of the left."""
    counts = ("received", "quarantined", "scored", "referred", "loss_of_approved")
    found = {name: relative_change(left[name], right[name]) for name in counts}
    for name in DECISIONS:
        base = "of_all" if name == "refer" else "of_scored"
        shares = [getattr(side["shares"][name], base) for side in (left, right)]
        found[name] = points_change(*shares)
    return found | {"default_rate": points_change(left["default_rate"], right["default_rate"])}


def relative_change(before: float | None, after: float | None) -> str:
    """Return a change in percent of the value before.

    >>> relative_change(200, 230), relative_change(0, 3) == relative_change(None, 3) == NONE
    ('+15.0 %', True)
    """
    if not before or after is None:
        return NONE
    return f"{100 * (after / before - 1):+.1f} %".replace("-", MINUS)


def points_change(before: float | None, after: float | None) -> str:
    """Return the difference of two shares in percentage points.

    >>> points_change(0.16, 0.181), points_change(None, 0.2) == NONE
    ('+2.1 points', True)
    """
    if before is None or after is None:
        return NONE
    return f"{100 * (after - before):+.1f} points".replace("-", MINUS)


def _columns(session: Session, side: Side) -> dict[tuple[str, str], dict[str, Any]]:
    run = {"scoring_run_id": side["scoring_run_id"]}
    connection = session.connection
    version = side["propensity_version"]
    model = database.row(connection, "select_model_baseline", model_version=version)
    counted = {
        row["feature"]: row for row in database.rows(connection, "select_distributions", **run)
    }
    rows = compared_columns(
        session.contract.under(side["policy"]),
        model or {"baseline": {}, "importance": []},
        counted,
        database.rows(connection, "select_drift_of_run", **run),
    )
    return {(row["kind"], row["feature"]): row for row in rows}


def _rows(session: Session, left: Side, right: Side) -> list[dict[str, Any]]:
    """Return a row for each column that one of the batches compared, the worst first."""
    both = [_columns(session, side) for side in (left, right)]
    is_same_model = left["propensity_version"] == right["propensity_version"]
    found = []
    for key in dict.fromkeys([*both[0], *both[1]]):
        two = [columns.get(key) for columns in both]
        shown = next(row for row in two if row is not None)
        sides = [row["sides"] if row else None for row in two]
        is_comparable = is_same_model and all(sides) and sides[0][0] == sides[1][0]  # type: ignore[index]
        found.append(
            {
                "label": shown["label"],
                "kind": shown["kind"],
                "feature": shown["feature"],
                "spark": (sides[0][2], sides[1][2]) if is_comparable else None,  # type: ignore[index]
                "cells": [
                    row and {"psi": row["psi"], "level": row["level"],
                             "severity": severity(row["level"])}
                    for row in two
                ],
                "rank": max(LEVELS.index(row["level"]) for row in two if row),
            }
        )  # fmt: skip
    return sorted(found, key=lambda row: (-row["rank"], row["kind"], row["label"]))
