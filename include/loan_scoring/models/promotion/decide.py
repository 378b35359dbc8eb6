"""Promote or refuse a pair of models, leave the decision to a person, or roll back.

Each verdict is recorded with its evidence. The gates judge only the propensity model. The
verdict also applies to the personas of the pair.
"""

import logging
from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.models import registry
from loan_scoring.models.promotion.judge import judge_challenger
from loan_scoring.models.promotion.rights import mode_in_effect, refuse_own_training
from loan_scoring.models.promotion.shadows import begin_shadow, end_shadow
from loan_scoring.models.promotion.signatures import with_signatures
from loan_scoring.models.registry import KINDS, PROPENSITY
from loan_scoring.models.waiting import promote_command

log = logging.getLogger(__name__)

POLICY = "policy:auto"
"""The value of `decided_by` if the gates decided and no person was asked."""


def promote_by_gates(session: Session, versions: dict[str, str], mode: str | None = None) -> str:
    """Judge a fitted pair, promote the pair if it passes every gate, and return the result.

    - `promoted`: the pair passed every gate and is now in use. This is recorded.
    - `refused`: the pair failed a gate, or the champion changed meanwhile. This is recorded.
    - `shadow`: the pair passed every gate and scores beside the champion from now on, because the
      contract has `promotion.shadow_nights`, and the pair was not trained after a detected change.
    - `held`: the pair passed every gate, but the mode is `hold`, so a person decides.
    - `unchanged`: the pair was in use already.
    - `withheld`: a person rejected the pair or rolled it back, so only a person can promote it. A
      run that itself asks for the mode `hold` puts the pair to a person again.

    Args:
        session: database session.
        versions: versions of the pair, by kind.
        mode: `auto` or `hold`. If None, the environment variable LOAN_SCORING_PROMOTION decides,
            and if this is not set, the contract. If the variable is `hold`, nothing overrides it.

    Raises:
        StateError: the mode is `auto`, and LOAN_SCORING_PROMOTION is `hold`.
    """
    return judge_and_promote(session, versions, mode)[0]


def judge_and_promote(
    session: Session, versions: dict[str, str], mode: str | None = None
) -> tuple[str, dict[str, Any]]:
    """Judge and promote as `promote_by_gates` does. Return the result and the evidence.

    The evidence is empty if no gate was evaluated.
    """
    challenger, is_asked_for = versions[PROPENSITY], mode == "hold"
    mode = mode_in_effect(session.contract, mode)
    with database.transaction(session.connection):
        if registry.champion_version(session, PROPENSITY) == challenger:
            return "unchanged", {}
        no = database.row(session.connection, "select_standing_no", model_version=challenger)
    if no is not None:
        what = "rolled it back" if no["occasion"] == "rollback" else "rejected it"
        if not is_asked_for:
            log.info("%s: withheld, as %s %s", challenger, no["decided_by"], what)
            return "withheld", {}
        log.info("%s: %s %s; a person is asked again", challenger, no["decided_by"], what)
    judgement = judge_challenger(session, versions)
    evidence = judgement.evidence()
    for gate in judgement.gates:
        log.info("%s: %s: %s", challenger, "passed" if gate.passed else "FAILED", gate.sentence)
    if judgement.failed:
        verdict = apply_verdict(session, versions, "refused", POLICY, evidence)
        log.warning(
            "%s: refused by %s; to promote it nevertheless, type: %s",
            challenger,
            ", ".join(judgement.failed),
            promote_command(session.contract, challenger, has_failed=True),
        )
        return verdict, evidence
    has_changed = judgement.holdout["since"] is not None  # then the champion is known to be wrong
    nights = session.contract.promotion.shadow_nights
    if judgement.champion is not None and nights and not has_changed:
        begin_shadow(session, versions, POLICY)
        return "shadow", evidence
    if mode == "hold":
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
    """Record a verdict on a pair and return the recorded verdict.

    The verdict `promoted` puts the pair into use as champions.

    If a task is killed after the commit and runs again, the second call adds nothing. If the pair
    to be promoted is in use already, nothing is recorded and the function returns `unchanged`. If
    another champion came into use after the gates were evaluated, the promotion is recorded as
    `refused`.

    Raises:
        StateError: the verdict is `promoted`, but the artifact of a model is missing or changed.
    """
    if verdict == "promoted":
        _check_loadable(session, versions)
    with database.transaction(session.connection):
        database.lock(session.connection, "promotions")
        evidence = with_signatures(session, versions, evidence)
        champion = registry.champion_version(session, PROPENSITY)
        if verdict == "promoted" and champion == versions.get(PROPENSITY):
            return "unchanged"
        if verdict == "promoted" and champion != evidence["champion"]:
            evidence = evidence | {"outdated": f"{champion} was promoted meanwhile"}
            verdict = "refused"
        details = {"occasion": occasion, "comment": comment, "champion": champion}
        details |= {name: evidence[name] for name in ("overruled", "outdated") if name in evidence}
        registry.record_verdicts(
            session,
            dict.fromkeys(versions.values(), evidence),
            verdict,
            decided_by,
            occasion=occasion,
            comment=comment,
            details=details,
        )
        if PROPENSITY in versions:
            end_shadow(session, versions[PROPENSITY], verdict, comment)
    log.info("%s: %s by %s", ", ".join(versions.values()), verdict, decided_by)
    return verdict


def promote_by_hand(
    session: Session,
    model_version: str,
    decided_by: str,
    comment: str | None = None,
    *,
    overrules: bool = True,
    seen: str | None = None,
) -> tuple[str, dict[str, Any]]:
    """Promote a pair because a person decided so. Return the verdict and the evidence.

    The gates are evaluated here, too. If a gate fails, a comment is required, and the gate is
    recorded as overruled. In the mode `hold`, another person than the one who started the training
    must decide.

    Args:
        session: database session.
        model_version: either version of the pair, propensity or personas.
        decided_by: the person who decided.
        comment: reason for the decision.
        overrules: whether the person means to overrule a gate that fails.
        seen: champion that the person saw in use, or an empty string for none. The promotion is
            refused if another one is in use now. If None, this is not checked.

    Raises:
        StateError: there is no such version, the pair is in use already, a gate failed and there
            is no comment or the person does not overrule it, the person started the training, the
            champion is not the one that was seen, or the artifact of a model is missing or changed.
    """
    versions = registry.fitted_pair(session, model_version)
    in_use = registry.champion_version(session, PROPENSITY)
    if seen is not None and seen != (in_use or ""):
        raise StateError(f"{in_use or 'no model'} is in use by now, not {seen or 'none'}")
    if all(registry.champion_version(session, kind) == versions[kind] for kind in KINDS):
        raise StateError(f"{' and '.join(versions.values())} are in use already")
    if mode_in_effect(session.contract) == "hold":
        refuse_own_training(session, versions, decided_by)
    judgement = judge_challenger(session, versions)
    evidence = judgement.evidence()
    if judgement.failed:
        if not comment or not overrules:
            sentences = " ".join(gate.sentence for gate in judgement.gates if not gate.passed)
            raise StateError(
                f"{versions[PROPENSITY]} fails {', '.join(judgement.failed)}: {sentences} "
                "To promote it nevertheless, give the reason; type: "
                f"{promote_command(session.contract, versions[PROPENSITY], has_failed=True)}"
            )
        evidence |= {"overruled": judgement.failed}
    # If the propensity model is in use already, only the personas are promoted.
    if judgement.champion == versions[PROPENSITY]:
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
    """Put back into use the models that the champions replaced. Return all champions by kind.

    The gates are not evaluated again, so a rollback takes only a moment. The recorded evidence
    names the promotion that is undone. A second rollback goes back one more promotion.

    Args:
        session: database session.
        decided_by: the person who decided.
        kind: `propensity` or `personas`, to roll back only this kind. If None, roll back both
            kinds.
        comment: reason for the rollback.
        seen: version of the propensity model that the person saw in use. The rollback is refused
            if another version is in use now. If None, this is not checked.

    Raises:
        StateError: a champion replaced no other model, another version than `seen` is in use, or
            a model to be put back cannot be loaded.
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
        judged = {
            now[each]: {
                "takes_out": in_use[each],
                "puts_back": now[each],
                "undoes_promotion": row["promotion_id"],
            }
            for each, row in back.items()
        }
        registry.record_verdicts(
            session,
            judged,
            "promoted",
            decided_by,
            occasion="rollback",
            comment=comment,
            subject=", ".join(now.values()),
            details={"takes_out": [in_use[each] for each in back], "comment": comment},
        )
    log.info("rolled back to %s by %s", ", ".join(now.values()), decided_by)
    return now


def _check_loadable(session: Session, versions: dict[str, str]) -> None:
    """Load the given models, so that a model whose artifact is damaged cannot become champion.

    Raises:
        StateError: the artifact of a model is missing or changed.
    """
    for version in versions.values():
        registry.model_estimator(session, registry.model_row(session, version))
