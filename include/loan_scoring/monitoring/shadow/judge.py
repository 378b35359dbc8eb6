"""Judge a challenger after its nights in shadow: refuse it, move it on, or ask a person."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.models.promotion.decide import POLICY, apply_verdict
from loan_scoring.models.promotion.gates import Gate
from loan_scoring.models.promotion.judge import judge_challenger
from loan_scoring.models.promotion.limits import limits_left
from loan_scoring.models.promotion.rights import mode_in_effect
from loan_scoring.models.promotion.shadows import CANARY, Shadow, begin_canary, reconcile_shadow
from loan_scoring.monitoring.shadow.nights import realised
from loan_scoring.monitoring.shadow.pairs import PairedNight, read_pairs
from loan_scoring.statistics.paired import paired_rates

log = logging.getLogger(__name__)


def judge_shadow(session: Session, batch_id: str, mode: str | None = None) -> dict[str, Any]:
    """Judge the challenger in shadow after a night. Return `verdict`, `versions` and `evidence`.

    The verdict is one of these:

    - `none`: no challenger is in shadow.
    - `watching`: it needs more nights with the present champion, or a person is asked already.
    - `refused`: it fails a gate by now, or its nights speak against it. This is recorded.
    - `held`: it passes, but the mode is `hold`, so a person decides.
    - `canary`: it decides its share of the loans from the next night on.
    - `promoted`: it is in use. This is recorded.

    Args:
        session: database session.
        batch_id: the night after which it is judged.
        mode: `auto` or `hold`, as for `mode_in_effect`.
    """
    shadow = reconcile_shadow(session)
    if shadow is None:
        return {"verdict": "none"}
    mode = mode_in_effect(session.contract, mode)
    with database.transaction(session.connection):
        nights = database.rows(
            session.connection,
            "select_nights_to_judge",
            propensity_version=shadow.propensity,
            champion=shadow.champion,
            with_canary=shadow.stage == CANARY,
        )
    if len(nights) < _needed(session.contract, shadow):
        log.info("%s: %d nights in stage %s", shadow.propensity, len(nights), shadow.stage)
        return {"verdict": "watching"}
    if shadow.asked_batch_id not in (None, batch_id):
        return {"verdict": "watching"}
    judgement = judge_challenger(session, shadow.versions)
    gate = beside_the_champion(session.contract, _read_nights(session, nights), shadow)
    judgement = replace(judgement, gates=[*judgement.gates, gate])
    evidence = judgement.evidence() | {
        "shadow": {"nights": [row["batch_id"] for row in nights], "stage": shadow.stage}
    }
    case = {"versions": shadow.versions, "evidence": evidence, "batch_id": batch_id}
    if judgement.failed:
        reason = f"failed {', '.join(judgement.failed)}"
        verdict = apply_verdict(
            session, shadow.versions, "refused", POLICY, evidence,
            occasion="shadow", comment=reason,
        )  # fmt: skip
        log.warning("%s: %s", shadow.propensity, reason)
        return case | {"verdict": verdict}
    if mode == "hold":
        with database.transaction(session.connection):
            is_asked = database.execute(
                session.connection,
                "update_shadow_asked",
                propensity_version=shadow.propensity,
                batch_id=batch_id,
            )
        return case | {"verdict": "held" if is_asked else "watching"}
    return case | {"verdict": advance(session, case, "promoted", POLICY)}


def advance(
    session: Session, case: dict[str, Any], verdict: str, by: str, comment: str | None = None
) -> str:
    """Apply a verdict on a challenger that was judged in shadow. Return what came of it.

    The verdict `promoted` begins the canary if the contract declares one and the challenger has not
    been one yet. Otherwise it makes the challenger the champion.

    Args:
        session: database session.
        case: what `judge_shadow` returned.
        verdict: `promoted`, `rejected` or `timed_out`.
        by: who decided.
        comment: what the person wrote.

    Raises:
        StateError: the challenger is in shadow no more, or a model cannot be loaded.
    """
    shadow = reconcile_shadow(session)
    stage = case["evidence"]["shadow"]["stage"]
    if (
        verdict == "promoted"
        and session.contract.promotion.canary is not None
        and stage != CANARY
        and shadow is not None
        and shadow.versions == case["versions"]
    ):
        begin_canary(session, shadow, by)
        return CANARY
    return apply_verdict(
        session, case["versions"], verdict, by, case["evidence"], occasion="shadow", comment=comment
    )


def _needed(contract: Contract, shadow: Shadow) -> int:
    if shadow.stage == CANARY and contract.promotion.canary is not None:
        return contract.promotion.canary.nights
    return max(contract.promotion.shadow_nights, 1)


def _read_nights(session: Session, nights: list[database.Row]) -> list[PairedNight]:
    found = []
    with database.transaction(session.connection):
        for row in nights:
            run = database.row(
                session.connection, "select_scoring_run", scoring_run_id=row["scoring_run_id"]
            )
            assert run is not None  # noqa: S101 - a foreign key
            found.append(read_pairs(session, run, row["shadow_run_id"]))
    return found


def beside_the_champion(contract: Contract, nights: list[PairedNight], shadow: Shadow) -> Gate:
    """Judge a challenger by the nights that it and the champion scored.

    The gate fails in any of these cases:

    - A rate leaves `promotion.challenger_limits`, unless the outcomes of these nights show the
      challenger's probabilities to be better by more than noise: the paired interval of the
      difference in log loss lies below 0. After a change a champion may be far off, so that a good
      challenger must be far from it.
    - The outcomes show the challenger to be worse by more than noise: the interval of the
      difference in AUC lies below 0, or that of log loss above 0.
    """

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(night, name)[night.is_judged] for night in nights])

    rates = paired_rates(
        joined("decision") == "approve",
        joined("champion_decision") == "approve",
        joined("probability"),
        joined("champion_probability"),
    )
    outcomes = realised(contract, nights)
    against = limits_left(contract.promotion.challenger_limits, rates)
    left = list(against)
    if outcomes["auc"] is None:
        told = "outcomes are not known yet"
    else:
        told = (
            f"the realised AUC is {outcomes['auc']:.4f}, the champion's "
            f"{outcomes['champion_auc']:.4f} (difference {outcomes['auc_lower']:+.4f} to "
            f"{outcomes['auc_upper']:+.4f}), the difference in log loss "
            f"{outcomes['log_loss_difference']:+.4f} ({outcomes['log_loss_lower']:+.4f} to "
            f"{outcomes['log_loss_upper']:+.4f})"
        )
        if outcomes["log_loss_upper"] < 0:
            against = []
        if outcomes["auc_upper"] < 0:
            against.append("the realised AUC is worse by more than noise")
        if outcomes["log_loss_lower"] > 0:
            against.append("the realised log loss is worse by more than noise")
    agreed = sum(int(np.sum(each.decision == each.champion_decision)) for each in nights)
    loans = sum(len(each.decision) for each in nights)
    sentence = (
        f"Beside {shadow.champion} on {loans:,} loans of {len(nights)} nights, "
        f"{agreed / loans:.1%} of the decisions agree; {told}. "
        + (
            f"Against it: {'; '.join(against)}."
            if against
            else f"It left limits ({'; '.join(left)}), but its outcomes are better."
            if left
            else "Nothing speaks against it."
        )
    )
    figures = {
        "nights": len(nights),
        "loans": loans,
        "agreed": agreed,
        "approval_rate": rates.approval_rate,
        "champion_approval_rate": rates.champion_approval_rate,
        "approval_interval": rates.approval_interval,
        "mean_probability": rates.mean_probability,
        "champion_mean_probability": rates.champion_mean_probability,
        "probability_interval": rates.probability_interval,
        **outcomes,
    }
    return Gate("beside_champion", not against, sentence, figures)
