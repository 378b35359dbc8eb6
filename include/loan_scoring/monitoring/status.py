"""Read the state of a portfolio from Postgres, for the command `status` and a run's summary."""

from dataclasses import asdict
from math import ceil
from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.models.waiting import waiting_model
from loan_scoring.monitoring.performance.coverage import outcome_coverage, outcomes_needed

NIGHTS = 7
"""Number of most recent nights whose performance is shown."""


def read_status(session: Session) -> dict[str, Any]:
    """Return the state of a portfolio: batches, champions, performance, alerts and stage times.

    The state also has the files of outcomes and the service level. All values can be written as
    JSON.
    """
    connection = session.connection
    champions = database.rows(connection, "select_champions")
    waiting = waiting_model(session)
    return {
        "portfolio": session.contract.portfolio,
        "batches": database.rows(connection, "select_batch_health"),
        "withdrawn": database.rows(connection, "select_withdrawn_batches"),
        "champions": {
            row["kind"]: {
                "model_version": row["model_version"],
                "algorithm": row["algorithm"],
                "auc": row["metrics"].get("auc"),
                "rows": row["metrics"].get("rows"),
                "promoted_by": row["promoted_by"],
                "promoted_at": row["promoted_at"].isoformat(),
            }
            for row in champions
        },
        "waiting": None if waiting is None else asdict(waiting) | {"text": waiting.sentence},
        "outcomes": database.rows(connection, "select_outcome_drops"),
        "performance": last_performance(session),
        "landing": database.rows(connection, "select_landing_findings"),
        "open_alerts": database.rows(connection, "select_open_alerts"),
        "slo": database.row(connection, "select_slo"),
        "stages": database.rows(connection, "select_stage_seconds"),
    }


def last_performance(session: Session) -> list[database.Row]:
    """Return the performance of the last nights, and how many outcomes a night still needs."""
    nights = database.rows(session.connection, "select_last_performance", batches=NIGHTS)
    coverage = {each.batch_id: each for each in outcome_coverage(session)}
    for night in nights:
        found = coverage.get(night["batch_id"])
        if found is not None and not found.is_mature:
            needed = ceil(outcomes_needed(session.contract, found.due))
            night |= {"outcomes": found.known, "outcomes_needed": needed}
    return nights
