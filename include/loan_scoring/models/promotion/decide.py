"""Promote a pair, refuse it, leave it to a person, or roll back; each verdict has its evidence.

The propensity model is judged on behalf of its pair: both are promoted, or neither.
"""

import logging
from typing import Any

from loan_scoring import database, settings
from loan_scoring.database import audit
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.models import registry
from loan_scoring.models.promotion.judge import judge_challenger
from loan_scoring.models.registry import KINDS, PROPENSITY

log = logging.getLogger(__name__)

POLICY = "policy:auto"
"""`decided_by` of a verdict that no person gave."""


def promote_by_gates(session: Session, versions: dict[str, str], mode: str | None = None) -> str:
    """Judge a fitted pair, promote it if it passes every gate, and return the outcome.

    `promoted` and `refused` are recorded. `held`: it passes every gate, and a person decides, as
    the mode is hold. `unchanged`: it is in use already. `withheld`: a person rejected it or rolled
    it back, and only a person can promote it.

    Args:
        versions: of the pair, by kind.
        mode: auto or hold; the setting's or else the contract's, if None.
    """
    return judge_and_promote(session, versions, mode)[0]


def judge_and_promote(
    session: Session, versions: dict[str, str], mode: str | None = None
) -> tuple[str, dict[str, Any]]:
    """Do as `promote_by_gates`, and return the evidence too, empty if nothing was judged."""
    challenger = versions[PROPENSITY]
    with database.transaction(session.connection):
        if registry.champion_version(session, PROPENSITY) == challenger:
            return "unchanged", {}
        no = database.row(session.connection, "select_standing_no", model_version=challenger)
    if no is not None:
        what = "rolled it back" if no["occasion"] == "rollback" else "rejected it"
        log.info("%s: withheld, as %s %s", challenger, no["decided_by"], what)
        return "withheld", {}
    judgement = judge_challenger(session, versions)
    evidence = judgement.evidence()
    for gate in judgement.gates:
        log.info("%s: %s: %s", challenger, "passed" if gate.passed else "FAILED", gate.sentence)
    if judgement.failed:
        return apply_verdict(session, versions, "refused", POLICY, evidence), evidence
    if (mode or settings.promotion_mode() or session.contract.promotion.mode) == "hold":
        return "held", evidence
    return apply_verdict(session, versions, "promoted", POLICY, evidence), evidence


def apply_verdict(
    session: Session,
    versions: dict[str, str],
    verdict: str,
    decided_by: str,
    evidence: dict[str, Any],
    *,
    occasion: str = "training",
    comment: str | None = None,
) -> str:
    """Record a verdict on a pair and return it; `promoted` makes the pair the champions.

    Recording the same verdict twice, as after a kill past the commit, changes nothing. A promotion
    that was judged against a former champion is recorded as refused.

    Raises:
        StateError: a model to be promoted cannot be loaded: missing, or changed since.
    """
    if verdict == "promoted":
        _check_loadable(session, versions)
    with database.transaction(session.connection):
        database.lock(session.connection, "promotions")
        champion = registry.champion_version(session, PROPENSITY)
        if verdict == "promoted" and champion == versions.get(PROPENSITY):
            return "unchanged"
        if verdict == "promoted" and champion != evidence["champion"]:
            evidence = evidence | {"outdated": f"{champion} was promoted meanwhile"}
            verdict = "refused"
        is_new = [
            registry.record_verdict(
                session, version, verdict, evidence, decided_by, occasion, comment
            )
            for version in versions.values()
        ]
        if any(is_new):
            details = {"occasion": occasion, "comment": comment, "champion": champion}
            details |= {
                name: evidence[name] for name in ("overruled", "outdated") if name in evidence
            }
            subject = ", ".join(versions.values())
            audit.record_entry(session, decided_by, f"promotion.{verdict}", subject, details)
    log.info("%s: %s by %s", ", ".join(versions.values()), verdict, decided_by)
    return verdict


def promote_by_hand(
    session: Session, model_version: str, decided_by: str, comment: str | None = None
) -> tuple[str, dict[str, Any]]:
    """Promote the pair of a version on a person's decision; return verdict and evidence.

    Gates that fail are recorded as overruled, which needs a comment.

    Raises:
        StateError: no such version, a gate failed and there is no comment, or a model is changed.
    """
    versions = registry.fitted_pair(session, model_version)
    if all(registry.champion_version(session, kind) == versions[kind] for kind in KINDS):
        raise StateError(f"{' and '.join(versions.values())} are in use already")
    judgement = judge_challenger(session, versions)
    evidence = judgement.evidence()
    if judgement.failed:
        if not comment:
            sentences = " ".join(gate.sentence for gate in judgement.gates if not gate.passed)
            raise StateError(
                f"{versions[PROPENSITY]} fails {', '.join(judgement.failed)}: {sentences} "
                "To promote it nevertheless, give the reason with --comment"
            )
        evidence |= {"overruled": judgement.failed}
    if judgement.champion == versions[PROPENSITY]:  # only its personas are out of use
        versions = {kind: v for kind, v in versions.items() if kind != PROPENSITY}
    verdict = apply_verdict(
        session, versions, "promoted", decided_by, evidence, occasion="command", comment=comment
    )
    return verdict, evidence


def rollback_champions(
    session: Session,
    decided_by: str,
    kind: str | None = None,
    comment: str | None = None,
    seen: str | None = None,
) -> dict[str, str]:
    """Put the models back that the champions replaced; return the versions now in use by kind.

    Nothing is judged again, so a rollback takes a moment. Its evidence is the promotion that it
    undoes. A second rollback goes back one more step.

    Args:
        kind: propensity or personas, to roll back only that one.
        seen: the propensity model that the person saw in use; any, if None.

    Raises:
        StateError: the champion is the first of its kind or not the one that was seen, or the
            older model cannot be loaded.
    """
    with database.transaction(session.connection):
        database.lock(session.connection, "promotions")
        in_use = dict(zip(KINDS, registry.champion_pair(session), strict=True))
        if seen is not None and seen != in_use[PROPENSITY]:
            raise StateError(
                f"{in_use[PROPENSITY]} is in use by now, not {seen}: nothing was rolled back"
            )
        back: dict[str, database.Row] = {}
        for each in [kind] if kind else KINDS:
            row = database.row(session.connection, "select_replaced", model_version=in_use[each])
            if row is None or row["replaces"] is None:
                raise StateError(f"{in_use[each]} replaced no other model: none to roll back to")
            if row["replaces"] != in_use[each]:
                back[each] = row
        now = in_use | {each: str(row["replaces"]) for each, row in back.items()}
        _check_loadable(session, now)
        for each, row in back.items():
            evidence = {
                "takes_out": in_use[each],
                "puts_back": now[each],
                "undoes_promotion": row["promotion_id"],
            }
            registry.record_verdict(
                session, now[each], "promoted", evidence, decided_by, "rollback", comment
            )
        details = {"takes_out": [in_use[each] for each in back], "comment": comment}
        audit.record_entry(
            session, decided_by, "promotion.rollback", ", ".join(now.values()), details
        )
    log.info("rolled back to %s by %s", ", ".join(now.values()), decided_by)
    return now


def _check_loadable(session: Session, versions: dict[str, str]) -> None:
    """Load the models, so that no champion is one that cannot score."""
    for version in versions.values():
        registry.model_estimator(session, registry.model_row(session, version))
