"""The alerts page: what needs an eye, the figures behind it, and what persons did about it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.handling import LONGEST_SNOOZE

SHOWN = 200
CAUSES = {
    "bad_data": "Bad data",
    "population": "Other applicants",
    "concept": "Other outcomes",
    "quality": "Not as expected",
    "failure": "A stage failed",
    "delivery": "A channel takes no message",
}


def read_alerts_page(session: Session, batch_id: str | None = None) -> dict[str, Any]:
    """Return the alerts, of one batch or all, in their three groups."""
    found = database.rows(session.connection, "select_alerts", batch_id=batch_id, alerts=SHOWN)
    for alert in found:
        alert["cause"] = CAUSES.get(alert["kind"], alert["kind"])
        alert["figures"] = evidence_rows(session.contract, alert["evidence"])
    waiting = [each for each in found if each["state"] != "resolved"]
    today = datetime.now(UTC).date()
    return {
        "batch_id": batch_id,
        "waiting": [each for each in waiting if not each["is_snoozed"]],
        "snoozed": [each for each in waiting if each["is_snoozed"]],
        "resolved": [each for each in found if each["state"] == "resolved"],
        "first_day": today + timedelta(days=1),
        "last_day": today + LONGEST_SNOOZE,
        "next_week": today + timedelta(days=7),
        "is_cut": len(found) == SHOWN,
    }


def evidence_rows(contract: Contract, evidence: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the evidence as rows of a table: column, figure, value.

    Evidence is kept by column where several show a cause, else as plain facts.
    """
    rows = []
    for name, facts in evidence.items():
        column = contract.by_name.get(name)
        about = column.label if column else _words(name)
        if not isinstance(facts, dict):
            rows.append({"about": about, "figures": [("", _told(facts))]})
            continue
        told = [
            (_words(test), f"effect {_told(each['effect'])}, limit {_told(each['threshold'])}")
            for test, each in facts.get("tests", {}).items()
        ]
        told += [
            (_words(fact), _told(value))
            for fact, value in facts.items()
            if fact not in ("tests", "causes") and not _is_long(value)
        ]
        rows.append({"about": about, "figures": told})
    return rows


def _words(name: str) -> str:
    return {"psi": "PSI", "ks": "KS", "psi_noise": "PSI by chance", "auc": "AUC", "ddm": "DDM"}.get(
        name, name.replace("_", " ")
    )


def _is_long(value: Any) -> bool:
    return isinstance(value, dict | list) and (not value or len(value) > 8)


def _told(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "unknown" if value is None else "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,.4g}" if abs(value) < 1e6 else f"{value:,.0f}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_told(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_told, value))
    return str(value)
