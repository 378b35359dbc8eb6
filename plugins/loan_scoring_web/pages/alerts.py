"""Read the template values of the alerts page: alerts with their state and evidence."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.causes import compared_name
from loan_scoring.monitoring.alerts.handling import LONGEST_SNOOZE
from loan_scoring.monitoring.timeline import read_story

SHOWN = 200
"""Maximum number of alerts on the page."""
CAUSES = {
    "bad_data": "Bad data",
    "population": "Other applicants",
    "concept": "Other outcomes",
    "quality": "Not as the contract expects",
    "failure": "A stage failed",
    "landing": "Files and nights differ",
    "contract": "A contract cannot be used",
    "delivery": "A channel does not deliver",
    "open_day": "The open day of a stream drifts",
    "scans": "Scanned pages differ or are left",
}


def read_alerts_page(session: Session, batch_id: str | None = None) -> dict[str, Any]:
    """Return the template values of the alerts page: the waiting, snoozed and resolved alerts.

    At most `SHOWN` alerts are returned. If there are more, resolved alerts are left out
    first.

    Args:
        session: database session that reads.
        batch_id: batch whose alerts to show. None shows the alerts of all batches.
    """
    found = database.rows(
        session.connection, "select_alerts", batch_id=batch_id, alert_id=None, alerts=SHOWN
    )
    for alert in found:
        _name(session.contract, alert)
    waiting = [each for each in found if each["state"] != "resolved"]
    return {
        "batch_id": batch_id,
        "waiting": [each for each in waiting if not each["is_snoozed"]],
        "snoozed": [each for each in waiting if each["is_snoozed"]],
        "resolved": [each for each in found if each["state"] == "resolved"],
        "is_cut": len(found) == SHOWN,
        **_days(),
    }


def read_alert_page(session: Session, alert_id: int) -> dict[str, Any] | None:
    """Return the template values of the page of one alert, or None if there is no such alert."""
    alert = database.row(
        session.connection, "select_alerts", batch_id=None, alert_id=alert_id, alerts=1
    )
    if alert is None:
        return None
    _name(session.contract, alert)
    return {"alert": alert, "story": read_story(session, alert_id), **_days()}


def _name(contract: Contract, alert: database.Row) -> None:
    """Add the words for the cause and the rows of the evidence to an alert."""
    alert["cause"] = CAUSES.get(alert["kind"], alert["kind"])
    alert["subjects"] = ", ".join(
        compared_name(contract, each) for each in alert["subject"].split(", ")
    )
    alert["figures"] = evidence_rows(contract, alert["evidence"])


def _days() -> dict[str, date]:
    """Return the days until which an alert can be snoozed."""
    today = datetime.now(UTC).date()
    return {
        "first_day": today + timedelta(days=1),
        "last_day": today + LONGEST_SNOOZE,
        "next_week": today + timedelta(days=7),
    }


def evidence_rows(contract: Contract, evidence: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an alert's evidence as table rows, each with a subject and its figures.

    A row about a compared input also has `column`, the name of the input.

    The evidence is a dictionary. Its values are single facts, or dictionaries with several facts
    and drift tests. A key is the name of a column or the name of a fact.
    """
    rows = []
    for name, facts in evidence.items():
        subject = compared_name(contract, name)
        subject = _label(name) if subject == name else subject
        if not isinstance(facts, dict):
            rows.append({"subject": subject, "figures": [("", _text(facts))], "column": None})
            continue
        figures = [
            (_label(test), f"effect {_text(each['effect'])}, limit {_text(each['threshold'])}")
            for test, each in facts.get("tests", {}).items()
        ]
        figures += [
            (_label(fact), _text(value))
            for fact, value in facts.items()
            if fact not in ("tests", "causes") and not _is_long(value)
        ]
        is_compared = bool(facts.get("tests")) and name in contract.by_name
        rows.append({"subject": subject, "figures": figures, "column": is_compared and name})
    return rows


def _label(name: str) -> str:
    labels = {
        "psi": "corrected PSI",
        "psi_uncorrected": "PSI",
        "psi_noise": "corrected PSI by chance",
        "ks": "KS",
        "auc": "AUC",
    }
    return labels.get(name, name.replace("_", " "))


def _is_long(value: Any) -> bool:
    return isinstance(value, dict | list) and (not value or len(value) > 8)


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "unknown" if value is None else "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,.4g}" if abs(value) < 1e6 else f"{value:,.0f}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return str(value)
