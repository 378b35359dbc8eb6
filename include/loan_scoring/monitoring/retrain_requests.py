"""Request new models, after a new `history` or while drift lasts, and record the reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from loan_scoring import database
from loan_scoring.contract import RetrainingPolicy
from loan_scoring.database.partitions import HISTORY
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.causes import BAD_DATA, CONCEPT, POPULATION


@dataclass(frozen=True)
class RetrainRequest:
    """A request for new models, or the decision to withhold the request, with the reason."""

    cause: str
    is_asked: bool
    reason: str


@dataclass(frozen=True)
class EarlierRequest:
    """An earlier retrain request because of drift.

    `batch_id` is the batch that shows the drift. `night` is the night in which the request was
    made, and `nights_ago` is the number of nights since then.
    """

    batch_id: str
    night: str
    nights_ago: int


def ask_for_model(session: Session, batch_id: str) -> bool:
    """Record a retrain request if the propensity champion was not trained on the landed `history`.

    Return True if a request was recorded, now or by an earlier call. Return False if the champion
    was trained on the current revision of `history`, if `history` has no current revision, or if
    `batch_id` is not `history`.
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
            reason=f"revision {lag['revision']} of the history has landed, "
            f"{lag['model_version'] or 'no model'} is in use",
        )
    return True


def ask_where_drift_lasts(session: Session, cause: str, batch_id: str | None = None) -> str | None:
    """Request new models if drift lasts long enough, and record the decision with its reason.

    Return the batch_id of the request. Return None if the batch does not show the cause or if the
    request is withheld.

    A second call for the same batch and cause records nothing new and returns the same batch_id,
    because a task that was killed after the first call may not have started the training. The
    caller must therefore make sure that the same batch and cause start only one training.

    Args:
        cause: `population`, which is known once a batch is scored, or `concept`, which is known
            once the batch's outcomes have arrived.
        batch_id: batch that has just been measured. If None, the last batch for which the cause is
            known. A batch before the last batch is a backfill and never requests new models.
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
        earlier = database.row(
            session.connection, "select_last_request", batch_id=batch_id, cause=cause
        )
        request = judge_retraining(
            session.contract.retraining,
            cause,
            [(row["batch_id"], set(row["findings"])) for row in batches],
            batch_id,
            EarlierRequest(**earlier) if earlier else None,
            session.contract.monitoring.least_nights,
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
    least_nights: int = 0,
) -> RetrainRequest | None:
    """Decide whether a batch's drift leads to a request for new models or to a withheld request.

    Return None if the batch does not show the cause.

    Args:
        policy: number of drifted batches that is needed, and the cooldown after a request.
        cause: `population` or `concept`.
        batches: batch_id of each batch and the causes that the batch shows, sorted by batch_id.
        batch_id: batch that has just been measured.
        before: last retrain request for drift, of either cause, before the one that is judged here.
            In a repeated call the batch may have made its request for `cause` already. Then
            `before` is the last request before that request. None if there is no such request.
        least_nights: number of batches from which on the week's usual cycle is known. With fewer,
            other applicants on Saturdays and Sundays alone request nothing.
    """
    shown = dict(batches)
    if cause not in shown.get(batch_id, set()):
        return None

    def withheld(why: str) -> RetrainRequest:
        return RetrainRequest(cause, is_asked=False, reason=f"{REASONS[cause]}, but {why}")

    last = batches[-1][0]
    if batch_id != last:
        return withheld(f"{last} is the last batch: a backfill never asks for new models")
    if BAD_DATA in shown[batch_id]:
        return withheld("the batch has bad data: correct its file and ingest it again")
    recent = batches[-policy.of_last :]
    drifted = [name for name, causes in recent if cause in causes and BAD_DATA not in causes]
    if len(drifted) < policy.drifted:
        return withheld(
            f"only in {len(drifted)} of the last {len(recent)} batches; "
            f"new models are asked for from {policy.drifted} of {policy.of_last}"
        )
    if cause == POPULATION and len(batches) <= least_nights and _only_weekends(drifted):
        return withheld(
            "only on Saturdays and Sundays, which may be usual: the usual week is known after "
            f"{least_nights} nights"
        )
    if before is not None and before.nights_ago <= policy.cooldown_nights:
        return withheld(
            f"new models were asked for in the night of {before.night}, for {before.batch_id}; "
            f"the cooldown is {policy.cooldown_nights} nights"
        )
    return RetrainRequest(
        cause,
        is_asked=True,
        reason=f"{REASONS[cause]}, in {len(drifted)} of the last {len(recent)} batches: "
        f"{', '.join(drifted)}",
    )


def _only_weekends(batch_ids: Sequence[str]) -> bool:
    return all(date.fromisoformat(each).weekday() >= SATURDAY for each in batch_ids)


SATURDAY = 5
REASONS = {
    POPULATION: "other applicants than at training",
    CONCEPT: "other defaults than at training",
}
