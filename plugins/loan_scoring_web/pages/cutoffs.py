"""Read the template values of grades, cut-offs and swap sets on the models page."""

from typing import TYPE_CHECKING, Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring_web.pages.plots import Plot, make_plot
from loan_scoring_web.pages.templating import count, percent, short

if TYPE_CHECKING:
    from loan_scoring.models.cutoffs import Cutoff

# Functions import models.cutoffs themselves, because its import loads SciPy, which would slow the
# start of the API server.

ROWS = 20
"""Number of thresholds in the table, beside those of the policy."""


def read_decisions(session: Session, version: str | None, other: str | None) -> dict[str, Any]:
    """Return `grades`, `migration`, `cutoffs` and `swaps` of a propensity version.

    Each is None if it is not on record, or if the version has no scale.

    Args:
        session: database session that reads.
        version: the version, or None if there is none.
        other: a version to compare with. Without a comparison with it, the last comparison of the
            version is taken.
    """
    if version is None:
        return dict.fromkeys(("grades", "migration", "cutoffs", "swaps"))
    from loan_scoring.models.cutoffs import read_comparison

    contract = session.contract
    evaluation = registry.model_row(session, version)["evaluation"] or {}
    comparison = read_comparison(session, version, other) or read_comparison(session, version)
    return {
        "grades": evaluation.get("grades"),
        "migration": comparison if comparison and comparison["grades"] else None,
        "cutoffs": _cutoffs(contract, evaluation),
        "swaps": None if comparison is None else _swaps(contract, comparison),
    }


def _cutoffs(contract: Contract, evaluation: dict[str, Any]) -> dict[str, Any] | None:
    from loan_scoring.models.cutoffs import cutoffs, nearest

    rows = cutoffs(contract, evaluation)
    if not rows:
        return None
    policy = [nearest(rows, each) for each in contract.decision.model_dump().values()]
    step = max(len(rows) // ROWS, 1)
    unit = contract.by_name[contract.business.amount].unit if contract.business else None
    return {
        "rows": [
            row for place, row in enumerate(rows, 1) if place % step == 0 or row in policy
        ],
        "policy": policy[0],
        "of_policy": policy,
        "place": rows.index(policy[0]),
        "texts": [_texts(row, policy[0]) for row in rows],
        "loans": evaluation["cutoffs"]["loans"],
        "unit": unit or "",
        "business": contract.business,
        "has_money": rows[0].loss is not None,
        "has_profit": rows[0].profit is not None,
        "plot": draw_cutoffs(rows, policy[0]),
    }  # fmt: skip


def _texts(row: "Cutoff", policy: "Cutoff") -> dict[str, str]:
    """Return the figures of a threshold as the page shows them, by name."""
    from loan_scoring.models.cutoffs import exchanged

    sets = exchanged(policy, row)
    return {
        "threshold": share(row.threshold),
        "approved": percent(row.approval_rate),
        "loans": f"{count(row.approved)} loans",
        "default_rate": percent(row.default_rate),
        "interval": "" if row.lower is None else f"{percent(row.lower)} to {percent(row.upper)}",
        "loss": short(row.loss),
        "expected_loss": f"expected {short(row.expected_loss)}",
        "profit": short(row.profit),
        **{name: count(each.loans) for name, each in sets.items()},
        **{
            f"{name}_rate": ""
            if each.default_rate is None
            else f"{percent(each.default_rate)} defaulted"
            for name, each in sets.items()
        },
    }


def share(threshold: float) -> str:
    """Return a threshold in per cent with no more decimals than it needs.

    >>> share(0.2), share(0.0125)
    ('20 %', '1.25 %')
    """
    return f"{100 * threshold:g} %"


def _swaps(contract: Contract, comparison: database.Row) -> dict[str, Any] | None:
    """Return a comparison with its swap sets at the policy's threshold, or None without it."""
    from loan_scoring.models.cutoffs import swapped, swaps_as_json

    grid, threshold = comparison["cells"]["thresholds"], contract.decision.approve_below
    if threshold not in grid:
        return None
    return {
        "champion": comparison["champion"],
        "challenger": comparison["challenger"],
        "compared_at": comparison["compared_at"],
        "loans": comparison["loans"],
        "threshold": threshold,
        "place": grid.index(threshold),
        "data": comparison["cells"],
        "sets": swaps_as_json(swapped(comparison, threshold, threshold)),
    }


def draw_cutoffs(rows: list["Cutoff"], policy: "Cutoff") -> Plot:
    """Draw approval rate, default rate of the approved, and profit, by threshold."""
    x = [row.threshold for row in rows]
    lines: list[dict[str, Any]] = [
        _line("approved", x, [row.approval_rate for row in rows], "--green", "solid"),
        _line("defaulted", x, [row.default_rate for row in rows], "--orange", "dash"),
    ]
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": "Approve below"}, "tickformat": ".0%"},
        "yaxis": {"tickformat": ".0%", "rangemode": "tozero"},
        "shapes": [{
            "type": "line", "x0": policy.threshold, "x1": policy.threshold, "yref": "paper",
            "y0": 0, "y1": 1, "line": {"color": "--grey", "width": 1, "dash": "dot"},
        }],
    }  # fmt: skip
    if rows[0].profit is not None:
        lines.append(
            _line("profit", x, [row.profit for row in rows], "--violet", "dashdot")
            | {"yaxis": "y2", "hovertemplate": "%{y:,.3s}"}
        )
        layout["yaxis2"] = {
            "overlaying": "y", "side": "right", "showgrid": False, "tickformat": ".3s", "nticks": 5,
        }  # fmt: skip
    return make_plot(lines, **layout)


def _line(name: str, x: list[float], y: list[Any], colour: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": x, "y": y,
        "hovertemplate": "%{y:.1%}", "line": {"color": colour, "width": 2, "dash": dash},
    }  # fmt: skip
