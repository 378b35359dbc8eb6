"""Ask for new models, and record why."""

from loan_scoring import database
from loan_scoring.partitions import HISTORY
from loan_scoring.session import Session


def ask_for_model(session: Session, batch_id: str) -> bool:
    """Record a retrain request where a history is in that the champion was not fitted on.

    Returns whether training is asked for; for other batches than the history it never is.
    """
    if batch_id != HISTORY:
        return False
    with database.transaction(session.connection):
        lag = database.row(session.connection, "select_champion_lag")
        if lag is None or lag["is_fitted_on_it"]:
            return False
        database.execute(
            session.connection,
            "insert_retrain_request",
            batch_id=HISTORY,
            verdict="asked",
            reason=f"revision {lag['revision']} of the history is in, "
            f"{lag['model_version'] or 'no model'} is in use",
        )
    return True
