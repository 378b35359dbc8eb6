"""Compare the nights of a challenger in shadow with the champion's, in table `shadow_nights`."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.errors import LoanScoringError, StateError
from loan_scoring.models.promotion.gates import log_loss_difference
from loan_scoring.models.promotion.shadows import open_shadow
from loan_scoring.monitoring.shadow.pairs import PairedNight, read_pairs
from loan_scoring.statistics.auc import auc, auc_differences
from loan_scoring.statistics.paired import paired_rates
from loan_scoring.statistics.psi import score_psi

log = logging.getLogger(__name__)


def compare_night(session: Session, shadow_run_id: str) -> int:
    """Compare a scored shadow with the champion's run and record it. Return the number of loans.

    A night that is compared again is written again.

    Raises:
        StateError: there is no such run, or a loan has the score of one model only.
    """
    with database.transaction(session.connection):
        shadow = database.row(
            session.connection, "select_scoring_run", scoring_run_id=shadow_run_id
        )
        if shadow is None or shadow["beside"] is None:
            raise StateError(f"there is no shadow run {shadow_run_id}; clear the DAG run shadow")
        run = database.row(
            session.connection, "select_scoring_run", scoring_run_id=shadow["beside"]
        )
        assert run is not None  # noqa: S101 - `beside` is a foreign key
        change = database.row(session.connection, "select_last_outcome_change")
        night = read_pairs(session, run, shadow_run_id)
        key = {"propensity_version": shadow["propensity_version"], "batch_id": run["batch_id"]}
        figures = {
            **key,
            "champion": run["propensity_version"],
            "scoring_run_id": run["scoring_run_id"],
            "shadow_run_id": shadow_run_id,
            "outcomes_change_id": change["change_id"] if change else None,
            **describe_night(night),
            **realised(session.contract, [night]),
        }
        database.lock(session.connection, f"shadow:{run['batch_id']}")
        database.execute(session.connection, "delete_shadow_night", **key)
        database.execute(session.connection, "insert_shadow_night", **figures)
    log.info(
        "%s beside %s: %d of %d decisions agree",
        key["propensity_version"], run["propensity_version"], figures["agreed"], figures["loans"],
    )  # fmt: skip
    return int(figures["loans"])


def refresh_nights(session: Session) -> list[str]:
    """Compare the nights of the challenger in shadow again whose outcomes came since.

    Return their batches.
    """
    with database.transaction(session.connection):
        shadow = open_shadow(session)
        challenger = None if shadow is None else shadow.propensity
        stale = database.rows(
            session.connection, "select_stale_shadow_nights", propensity_version=challenger
        )
    for row in stale:
        compare_night(session, row["shadow_run_id"])
    return [row["batch_id"] for row in stale]


def refresh_or_warn(session: Session, day: str) -> None:
    """Compare nights again as `refresh_nights` does. If that fails, open an alert on the shadow.

    A challenger that decides nothing must not fail a stage of the champion.

    Args:
        session: database session.
        day: day of the run, which the alert names.
    """
    try:
        refresh_nights(session)
    except LoanScoringError as error:
        log.warning("outcomes of the challenger in shadow were not measured: %s", error)
        with database.transaction(session.connection):
            database.execute(
                session.connection,
                "upsert_failure_alert",
                stage="shadow",
                batch_id=day,
                severity="warning",
                message=f"The outcomes of the challenger in shadow were not measured: {error}",
                evidence=json.dumps({"errors": [str(error)]}),
            )


def describe_night(night: PairedNight) -> dict[str, Any]:
    """Return how the decisions and the scores of both models differ, by column of shadow_nights."""
    own, theirs, both = night.decision, night.champion_decision, night.is_judged
    pairs = Counter(zip(theirs.tolist(), own.tolist(), strict=True))
    rates = paired_rates(
        own[both] == "approve",
        theirs[both] == "approve",
        night.probability[both],
        night.champion_probability[both],
    )
    moved = None
    if both.any():
        # Both scores are of the same loans, so nothing is taken off for chance.
        moved = score_psi(night.champion_probability[both], night.probability[both])
    return {
        "loans": len(own),
        "agreed": int(np.sum(own == theirs)),
        "comes_in": int(np.sum((own == "approve") & (theirs != "approve"))),
        "goes_out": int(np.sum((own != "approve") & (theirs == "approve"))),
        "decisions": json.dumps([[*pair, loans] for pair, loans in sorted(pairs.items())]),
        "approval_rate": rates.approval_rate,
        "champion_approval_rate": rates.champion_approval_rate,
        "mean_probability": rates.mean_probability,
        "champion_mean_probability": rates.champion_mean_probability,
        "psi": None if moved is None else moved["psi_uncorrected"],
    }


def realised(contract: Contract, nights: Sequence[PairedNight]) -> dict[str, Any]:
    """Return what the outcomes of some nights say of both models, by column of shadow_nights.

    Differences are challenger minus champion, with paired intervals at `promotion.confidence`: by
    the stratified bootstrap for AUC, by the normal interval of the differences for log loss. All
    of them are None unless both outcomes occur at least twice.
    """
    known = [night.is_known for night in nights]

    def joined(name: str) -> np.ndarray:
        values = [getattr(night, name)[each] for night, each in zip(nights, known, strict=True)]
        return np.concatenate(values) if values else np.array([])

    y = joined("outcome").astype(int)
    names = (
        "auc", "champion_auc", "auc_lower", "auc_upper",
        "log_loss_difference", "log_loss_lower", "log_loss_upper",
    )  # fmt: skip
    found: dict[str, Any] = {"outcomes": len(y), "defaults": int(y.sum())}
    if min(y.sum(), len(y) - y.sum()) < 2:
        return found | dict.fromkeys(names)
    own, theirs = joined("probability"), joined("champion_probability")
    confidence = contract.promotion.confidence
    replicates = auc_differences(y, own, theirs, contract.training.seed)
    low, high = np.quantile(replicates, [(1 - confidence) / 2, (1 + confidence) / 2])
    loss, (loss_low, loss_high) = log_loss_difference(y, own, theirs, confidence)
    values = (auc(y, own), auc(y, theirs), float(low), float(high), loss, loss_low, loss_high)
    return found | dict(zip(names, values, strict=True))
