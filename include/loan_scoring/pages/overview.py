"""The portfolio page: is everything all right?"""

from typing import Any

from loan_scoring import database
from loan_scoring.session import Session


def read(session: Session) -> dict[str, Any]:
    """Return what the portfolio page shows."""
    return {"alerts": database.rows(session.connection, "select_open_alerts")}
