"""Read the template values of the portfolio page: problems, nights, champions, plots, people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.contract.grades import BY_GRADE
from loan_scoring.database.session import Session
from loan_scoring.ingest.replayed import read_scenarios
from loan_scoring.models.waiting import Waiting, waiting_model
from loan_scoring_web.pages import plots
from loan_scoring_web.pages.alerts import SHOWN
from loan_scoring_web.pages.next_steps import read_next_steps
from loan_scoring_web.pages.reviews import read_reviews_section
from loan_scoring_web.pages.words import shares_of_night

NIGHTS = 30
"""Number of nights in the plots."""
TABLE_NIGHTS = 10
"""Number of nights in the table."""
LATEST_HOURS = 36
"""If the last night's file landed more hours ago than this, a nightly file counts as missing."""


@dataclass(frozen=True)
class Problem:
    """Something that needs a person's attention.

    `path` is the path of the page that shows the problem. `severity` is `critical` or `warning`.
    """

    severity: str
    text: str
    path: str


def read_portfolio_page(session: Session, persons: tuple[str, ...] | None = ()) -> dict[str, Any]:
    """Return the template values of the portfolio page: problems, nights, champions, plots.

    Args:
        session: database session that reads.
        persons: names of the persons whose decisions the user may see by name. None means all.
    """
    connection = session.connection
    nights = database.rows(connection, "select_nights", nights=NIGHTS, until=None)
    alerts = [
        row
        for row in database.rows(
            connection, "select_alerts", batch_id=None, alert_id=None, alerts=SHOWN
        )
        if row["state"] != "resolved"
    ]
    champions = {row["kind"]: row for row in database.rows(connection, "select_champions")}
    slo = database.row(connection, "select_slo")
    now = datetime.now(UTC)
    waiting = waiting_model(session)
    problems = _problems(session.contract, nights, alerts, champions, waiting, slo, now)
    last = nights[-1] if nights else None
    for night in nights:
        night["shares"] = shares_of_night(night)
        approved = night["shares"].get("approve")
        night["approved"] = approved.of_all if approved else None
    return {
        "contract": session.contract,
        "problems": problems,
        "verdict": _verdict(problems, nights, alerts),
        "nights": nights[::-1][:TABLE_NIGHTS],
        "last": last,
        "usual": _usual(nights[:-1]),
        "alerts": alerts,
        "champions": champions,
        "days_since_training": _days_since_training(champions, now),
        "slo": slo,
        "backlog": _backlog(session, nights),
        "put_on": _put_on(session.contract, nights),
        "unit": amount_unit(session.contract),
        "grades": _grades(session, last),
        "is_synthetic": any(night["source"].startswith("synthetic") for night in nights),
        "decisions_plot": plots.draw_decisions(nights),
        "risk_plot": _risk(nights),
        "reviews": read_reviews_section(session, None, persons),
        "steps": [] if nights else read_next_steps(session),
    }


def _backlog(session: Session, nights: Sequence[database.Row]) -> dict[str, Any]:
    """Return how many loans of these nights wait for a person, and the oldest night with one."""
    runs = [night["scoring_run_id"] for night in nights if night["scoring_run_id"]]
    rows = database.rows(session.connection, "select_backlog", scoring_run_ids=runs)
    waiting = [row for row in rows if row["left_to_people"] > row["decided"]]
    return {
        "nights": len(rows),
        "left": sum(row["left_to_people"] for row in rows),
        "waiting": sum(row["left_to_people"] - row["decided"] for row in waiting),
        "oldest": waiting[0]["batch_id"] if waiting else None,
    }


def _put_on(contract: Contract, nights: Sequence[database.Row]) -> list[tuple[str, list[str]]]:
    """Return the nights to which a replay put a change on, by what it changed, in words."""
    found: dict[str, list[str]] = {}
    shown = {night["batch_id"] for night in nights}
    for batch_id, names in read_scenarios(settings.landing_dir(contract.portfolio)).items():
        labels = [
            contract.replay.scenarios[name].label if name in contract.replay.scenarios else name
            for name in names
        ]
        if batch_id in shown:
            found.setdefault("; ".join(labels), []).append(batch_id)
    return list(found.items())


def _grades(session: Session, last: database.Row | None) -> list[database.Row]:
    """Return the grades of the last night, from table `segments`. Empty without a scale."""
    if last is None or last["scoring_run_id"] is None:
        return []
    rows = database.rows(
        session.connection, "select_segments_of_run", scoring_run_id=last["scoring_run_id"]
    )
    return [row for row in rows if row["segmented_by"] == BY_GRADE]


def amount_unit(contract: Contract) -> str:
    """Return the unit of the loan amount, or an empty string if the contract names no unit."""
    if contract.business is None:
        return ""
    return contract.by_name[contract.business.amount].unit or ""


def _problems(
    contract: Contract,
    nights: Sequence[database.Row],
    alerts: Sequence[database.Row],
    champions: dict[str, database.Row],
    waiting: Waiting | None,
    slo: database.Row | None,
    now: datetime,
) -> list[Problem]:
    found = []
    reason = waiting.reason if waiting else ""
    if nights and "propensity" not in champions:
        text = f"No champion: no batch can be scored; {reason}"
        found.append(Problem("critical", text, "models"))
    elif reason:
        found.append(Problem("warning", reason, "models"))
    if nights:
        found += _last_night_problems(contract, nights[-1], now)
    earlier = [
        night["batch_id"]
        for night in nights[:-1]
        if night["scoring_run_id"] is None and night["withdrawn_at"] is None
    ]
    if earlier:
        start = (
            "1 earlier night has" if len(earlier) == 1 else f"{len(earlier)} earlier nights have"
        )
        text = f"{start} no scores: {', '.join(earlier[-3:])}"
        found.append(Problem("warning", text, "batches"))
    for night in nights:
        if night["scoring_run_id"] and night["scored_revision"] != night["revision"]:
            text = (
                f"{night['batch_id']}: scores are of revision {night['scored_revision']}; "
                f"revision {night['revision']} is not scored yet"
            )
            found.append(Problem("warning", text, f"batches/{night['batch_id']}"))
    for alert in alerts:
        if not alert["is_snoozed"] and alert["state"] == "open":
            text = f"{alert['last_batch_id']}: {alert['message']}"
            found.append(Problem(alert["severity"], text, f"alerts/{alert['alert_id']}"))
    if slo and slo["nights"] and slo["error_budget_left"] < 0:
        text = f"The error budget is used up: {slo['nights_on_time']} of {slo['nights']} nights"
        found.append(Problem("warning", f"{text} were on time", "operations"))
    return sorted(found, key=lambda each: each.severity)


def _last_night_problems(contract: Contract, last: database.Row, now: datetime) -> list[Problem]:
    found, path = [], f"batches/{last['batch_id']}"
    if last["state"] == "refused":
        found.append(Problem("critical", f"The file of {last['batch_id']} was refused", path))
    elif last["scoring_run_id"] is None and last["punctuality"] == "late":
        found.append(Problem("critical", f"{last['batch_id']} was not scored in time", path))
    elif last["punctuality"] == "late":
        found.append(Problem("warning", f"{last['batch_id']} was scored late", path))
    elif last["scoring_run_id"] and last["received"] and not last["tests"]:
        found.append(
            Problem("warning", f"{last['batch_id']} is not compared with the baseline yet", path)
        )
    is_nightly = contract.schedules.ingest.split()[2:] == ["*", "*", "*"]
    hours = (now - last["first_landed_at"]).total_seconds() / 3600
    if is_nightly and hours > LATEST_HOURS:
        text = f"No file has landed for {hours / 24:.0f} days; the last night is {last['batch_id']}"
        found.append(Problem("warning", text, "batches"))
    return found


def _verdict(
    problems: Sequence[Problem], nights: Sequence[database.Row], alerts: Sequence[database.Row]
) -> tuple[str, str]:
    """Return the portfolio's state (`none`, `bad`, `warn`, `good`) and a sentence for the page."""
    if not nights:
        return "none", "No night has landed yet"
    critical = sum(problem.severity == "critical" for problem in problems)
    if critical:
        return "bad", f"{_things(critical)} now"
    if problems:
        return "warn", _things(len(problems))
    if alerts:  # these are acknowledged or snoozed, because any other alert is a problem
        count = "1 alert is" if len(alerts) == 1 else f"{len(alerts)} alerts are"
        return "warn", f"Nothing new: {count} being worked on or snoozed"
    return "good", "Everything is all right"


def _things(number: int) -> str:
    return "One thing needs attention" if number == 1 else f"{number} things need attention"


def _usual(nights: Sequence[database.Row]) -> dict[str, float | None]:
    """Return the median of each figure over the given nights, such as the median approval rate.

    The median is None if no night has a value of the figure.
    """
    names = ("received", "referred", "approved", "default_rate", "loss_of_approved")
    found: dict[str, float | None] = {}
    for name in names:
        known = [
            float(night[name]) for night in nights if night[name] is not None and night["received"]
        ]
        found[name] = median(known) if known else None
    return found


def _days_since_training(champions: dict[str, database.Row], now: datetime) -> int | None:
    champion = champions.get("propensity")
    return None if champion is None else (now - champion["fitted_at"]).days


def _risk(nights: Sequence[database.Row]) -> plots.Plot:
    """Draw approval rate, expected default rate and expected loss of approved loans by night."""
    x = [night["batch_id"] for night in nights]
    return plots.make_plot(
        [
            {
                "type": "bar",
                "name": "expected loss",
                "x": x,
                "y": [night["loss_of_approved"] for night in nights],
                "marker": {"color": "--violet"},
                "opacity": 0.45,
                "yaxis": "y2",
                "hovertemplate": "%{y:,.3s}",
            },
            plots.night_line(
                "expected default rate", x, [n["default_rate"] for n in nights], "--orange",
                form=".1%",
            ),
            plots.night_line(
                "approval rate", x, [n["approval_rate"] for n in nights], "--green", form=".1%"
            ),
        ],
        bargap=0.35,
        xaxis=plots.nights_axis(x),
        yaxis={"tickformat": ".0%", "rangemode": "tozero"},
        yaxis2={
            "overlaying": "y", "side": "right", "rangemode": "tozero", "showgrid": False,
            "tickformat": ".3s", "nticks": 5,
        },
    )  # fmt: skip
