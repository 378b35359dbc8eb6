"""Ask for new models, and record why, or why not."""

from collections.abc import Sequence
from dataclasses import dataclass

from loan_scoring import database
from loan_scoring.contract import RetrainingPolicy
from loan_scoring.database.partitions import HISTORY
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.causes import BAD_DATA, CONCEPT, POPULATION


@dataclass(frozen=True)
class RetrainRequest:
    """A request for new models, asked or withheld, and why, in plain words."""

    cause: str
    is_asked: bool
    reason: str


@dataclass(frozen=True)
class EarlierRequest:
    """A request that drift made before: for a batch, in a night that is so many nights ago."""

    batch_id: str
    night: str
    nights_ago: int


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
            cause=None,
            verdict="asked",
            reason=f"revision {lag['revision']} of the history is in, "
            f"{lag['model_version'] or 'no model'} is in use",
        )
    return True


def ask_where_drift_lasts(session: Session, cause: str, batch_id: str | None = None) -> str | None:
    """Record whether the last batches' drift asks for new models; return the batch it asks for.

    Args:
        cause: `population`, which a batch shows once it is scored, or `concept`, once its outcomes
            are in.
        batch_id: the batch that has just been measured; the last one, where it is None. Another
            than the last is a backfill, and never asks.

    A batch asks once for a cause: asked again, the request stands already and the answer is the
    same, as a killed task may not have started the training. Whoever starts it does so once for a
    batch and cause.
    """
    is_known = "is_mature" if cause == CONCEPT else "is_measured"
    with database.transaction(session.connection):
        database.lock(session.connection, "retrain_requests")
        batches = [
            row
            for row in database.rows(session.connection, "select_findings_by_batch")
            if row[is_known]
        ]
        if not batches:
            return None
        last = batches[-1]["batch_id"]
        batch_id = batch_id or last
        before = database.row(
            session.connection, "select_last_request", batch_id=batch_id, cause=cause
        )
        request = judge_retraining(
            session.contract.retraining,
            cause,
            [(row["batch_id"], set(row["findings"])) for row in batches],
            batch_id,
            EarlierRequest(**before) if before else None,
        )
        if request is None:
            return None
        database.execute(
            session.connection,
            "insert_retrain_request",
            batch_id=batch_id,
            cause=request.cause,
            verdict="asked" if request.is_asked else "withheld",
            reason=request.reason,
        )
    return batch_id if request.is_asked else None


def judge_retraining(
    policy: RetrainingPolicy,
    cause: str,
    batches: Sequence[tuple[str, set[str]]],
    batch_id: str,
    before: EarlierRequest | None,
) -> RetrainRequest | None:
    """Say whether drift asks for new models, or why it does not; None where there is none.

    Args:
        batches: batch_id and the causes that each batch shows, in the order of batch_id.
        batch_id: the batch that has just been measured.
        before: the last request of drift but its own, whichever cause made it.
    """
    shown = dict(batches)
    if cause not in shown.get(batch_id, set()):
        return None

    def withheld(why: str) -> RetrainRequest:
        return RetrainRequest(cause, is_asked=False, reason=f"{TOLD[cause]}, but {why}")

    last = batches[-1][0]
    if batch_id != last:
        return withheld(f"{last} is in already: a backfill asks for nothing")
    if BAD_DATA in shown[batch_id]:
        return withheld("the data are bad: mend them first, then ingest the batch again")
    recent = batches[-policy.of_last :]
    drifted = [name for name, causes in recent if cause in causes and BAD_DATA not in causes]
    if len(drifted) < policy.drifted:
        return withheld(
            f"in {len(drifted)} of the last {len(recent)} batches only; "
            f"{policy.drifted} of {policy.of_last} ask for new models"
        )
    if before is not None and before.nights_ago <= policy.cooldown_nights:
        return withheld(
            f"new models were asked for in the night of {before.night}, for {before.batch_id}; "
            f"{policy.cooldown_nights} nights are to pass"
        )
    return RetrainRequest(
        cause,
        is_asked=True,
        reason=f"{TOLD[cause]}, in {len(drifted)} of the last {len(recent)} batches: "
        f"{', '.join(drifted)}",
    )


TOLD = {
    POPULATION: "other people apply than at training",
    CONCEPT: "loans default otherwise than at training",
}
