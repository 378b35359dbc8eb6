"""Let a challenger decide a share of a night, and stop it before the night is published.

A run with a canary has the challenger's scores of the canary's loans and the champion's scores of
all others in `scores`. `shadow_scores` has the champion's scores of the canary's loans. If the
canary is stopped, both give a run in which the champion decides all loans (docs/adr/0046).
"""

import json
import logging
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring import database
from loan_scoring.contract.promotion_policies import ChallengerLimits
from loan_scoring.database import audit
from loan_scoring.database.session import Session
from loan_scoring.models.holdout import holdout_members
from loan_scoring.models.promotion.limits import limits_left
from loan_scoring.models.promotion.shadows import CANARY, end_shadow, open_shadow, reconcile_shadow
from loan_scoring.statistics.paired import PairedRates, paired_rates

log = logging.getLogger(__name__)


def canary_in_effect(session: Session, champion: str) -> dict[str, Any] | None:
    """Return the canary of a night that is planned now, as table `scoring_runs` keeps it, or None.

    Args:
        session: database session.
        champion: propensity version of the champion.
    """
    policy = session.contract.promotion.canary
    if policy is None:
        return None
    shadow = reconcile_shadow(session)
    if shadow is None or shadow.stage != CANARY or shadow.champion != champion:
        return None
    return {
        "propensity_version": shadow.propensity,
        "personas_version": shadow.personas,
        "share": policy.share,
        "salt": f"{CANARY}:{shadow.propensity}",
        "limits": session.contract.promotion.challenger_limits.model_dump(),
    }


def canary_members(canary: dict[str, Any], loan_ids: pa.ChunkedArray) -> np.ndarray:
    """Return whether each loan is in the canary, shape (rows,).

    It depends only on `loan_id`, the challenger's version and the share, so a loan stays in it.
    """
    return holdout_members(loan_ids, canary["salt"], canary["share"])


def settle_canary(session: Session, run: database.Row, champions_run_id: str) -> str:
    """Judge the canary of a complete run before its first publication. Return the run to publish.

    This is the run itself, or `champions_run_id` if the canary is stopped. The canary is stopped
    if a rate leaves the limits that the run keeps, or if the challenger is a canary no more. A stop
    ends the challenger's shadow and opens an alert. A second call returns the same run.

    The caller's transaction holds the lock on the batch.

    Args:
        session: database session.
        run: row of the scoring run, with its canary.
        champions_run_id: id of the run in which the champion decides all loans.
    """
    canary, run_id = run["canary"], run["scoring_run_id"]
    known = database.row(session.connection, "select_canary_night", scoring_run_id=run_id)
    if known is None:
        loans, rates = _rates(session, run)
        database.lock(session.connection, "promotions")
        stopped_by = _why_stopped(session, canary, rates)
        known = {"stopped_by": stopped_by}
        database.execute(
            session.connection,
            "insert_canary_night",
            scoring_run_id=run_id,
            batch_id=run["batch_id"],
            propensity_version=canary["propensity_version"],
            champion=run["propensity_version"],
            share=canary["share"],
            loans=loans,
            approval_rate=rates.approval_rate,
            champion_approval_rate=rates.champion_approval_rate,
            mean_probability=rates.mean_probability,
            champion_mean_probability=rates.champion_mean_probability,
            stopped_by=stopped_by,
        )
        if stopped_by is not None:
            _stop(session, run, stopped_by)
    if known["stopped_by"] is None:
        return str(run_id)
    values = {"scoring_run_id": run_id, "champions_run_id": champions_run_id}
    database.execute(session.connection, "insert_champions_run", **values)
    database.execute(
        session.connection, "insert_champions_scores", **values, batch_id=run["batch_id"]
    )
    database.execute(session.connection, "update_champions_mini_batches", **values)
    return champions_run_id


def _rates(session: Session, run: database.Row) -> tuple[int, PairedRates]:
    """Return how many loans the canary has, and the rates of both models on them."""
    rows = database.rows(
        session.connection,
        "select_canary_pairs",
        scoring_run_id=run["scoring_run_id"],
        batch_id=run["batch_id"],
        propensity_version=run["canary"]["propensity_version"],
    )
    both = [
        each
        for each in rows
        if each["probability"] is not None and each["champion_probability"] is not None
    ]

    def column(name: str, kind: type) -> np.ndarray:
        return np.array([each[name] for each in both], dtype=kind)

    return len(rows), paired_rates(
        column("is_approved", bool),
        column("champion_is_approved", bool),
        column("probability", float),
        column("champion_probability", float),
    )


def _why_stopped(session: Session, canary: dict[str, Any], rates: PairedRates) -> str | None:
    shadow, challenger = open_shadow(session), canary["propensity_version"]
    if shadow is None or shadow.propensity != challenger or shadow.stage != CANARY:
        return f"{challenger} is a canary no more"
    left = limits_left(ChallengerLimits.model_validate(canary["limits"]), rates)
    return "; ".join(left) or None


def _stop(session: Session, run: database.Row, reason: str) -> None:
    challenger = run["canary"]["propensity_version"]
    end_shadow(session, challenger, "stopped", reason)
    database.execute(
        session.connection,
        "upsert_failure_alert",
        stage=CANARY,
        batch_id=run["batch_id"],
        severity="warning",
        message=f"The canary {challenger} was stopped before {run['batch_id']} was published, and "
        f"{run['propensity_version']} decided all loans: {reason}",
        evidence=json.dumps({"run": run["scoring_run_id"], "challenger": challenger}),
    )
    details = {"run": run["scoring_run_id"], "reason": reason}
    audit.record_entry(session, "policy:auto", "shadow.stop", challenger, details)
    log.warning("the canary %s was stopped: %s", challenger, reason)
