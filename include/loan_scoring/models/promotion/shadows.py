"""Put a challenger into shadow beside the champion, move it on to a canary, and end its shadow.

At most one challenger is in shadow. Table `shadows` keeps all of them (docs/adr/0046).
"""

import logging
from dataclasses import dataclass

from loan_scoring import database
from loan_scoring.database import audit
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.models import registry
from loan_scoring.models.registry import PERSONAS, PROPENSITY

log = logging.getLogger(__name__)

CANARY = "canary"
"""The stage in which a challenger decides a share of the loans."""


@dataclass(frozen=True)
class Shadow:
    """A challenger that scores beside the champion.

    `champion` is the propensity version with which it is compared. `stage` is `shadow` or `canary`.
    `asked_batch_id` is the night after which a person was asked about the stage, or None.
    """

    propensity: str
    personas: str
    champion: str
    stage: str
    asked_batch_id: str | None

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the pair, by kind."""
        return {PROPENSITY: self.propensity, PERSONAS: self.personas}


def open_shadow(session: Session) -> Shadow | None:
    """Return the challenger in shadow, as it is in this transaction. None if there is none."""
    row = database.row(session.connection, "select_open_shadow")
    if row is None:
        return None
    return Shadow(
        row["propensity_version"],
        row["personas_version"],
        row["champion"],
        row["stage"],
        row["asked_batch_id"],
    )


def begin_shadow(session: Session, versions: dict[str, str], by: str) -> bool:
    """Put a pair into shadow instead of an earlier challenger. Return False if it is there already.

    Args:
        session: database session.
        versions: versions of the pair, by kind.
        by: who decided so, such as `policy:auto` or `cli:NAME`.

    Raises:
        StateError: `promotion.shadow_nights` is 0, there is no champion, the pair is in use, or the
            artifact of a model is missing or changed.
    """
    contract, challenger = session.contract, versions[PROPENSITY]
    if not contract.promotion.shadow_nights:
        raise StateError(
            f"{contract.portfolio} has no shadow: set promotion.shadow_nights in the contract"
        )
    for version in versions.values():
        registry.model_estimator(session, registry.model_row(session, version))
    with database.transaction(session.connection):
        database.lock(session.connection, "promotions")
        champion, _ = registry.champion_pair(session)
        if champion == challenger:
            raise StateError(f"{challenger} is in use, so it cannot be in shadow")
        before = open_shadow(session)
        if before is not None and before.propensity == challenger:
            return False
        if before is not None:
            end_shadow(session, before.propensity, "replaced", f"{challenger} replaced it")
        database.execute(
            session.connection,
            "insert_shadow",
            propensity_version=challenger,
            personas_version=versions[PERSONAS],
            champion=champion,
            started_by=by,
        )
        details = {"beside": champion}
        audit.record_entry(session, by, "shadow.begin", ", ".join(versions.values()), details)
    log.info("%s is in shadow beside %s", challenger, champion)
    return True


def end_shadow(session: Session, challenger: str, ended_as: str, reason: str | None) -> None:
    """End the shadow of a challenger in the current transaction, if it is in shadow."""
    ended = database.execute(
        session.connection,
        "update_shadow_ended",
        propensity_version=challenger,
        ended_as=ended_as,
        reason=reason,
    )
    if ended:
        log.info("%s is in shadow no more: %s", challenger, reason or ended_as)


def begin_canary(session: Session, shadow: Shadow, by: str) -> bool:
    """Let the challenger in shadow decide its share of later nights. Return False if it does.

    Raises:
        StateError: the challenger is in shadow no more, or another champion is in use by now.
    """
    with database.transaction(session.connection):
        database.lock(session.connection, "promotions")
        now, (champion, _) = open_shadow(session), registry.champion_pair(session)
        if now is None or now.propensity != shadow.propensity or champion != shadow.champion:
            raise StateError(
                f"{shadow.propensity} is not in shadow beside {champion}: no canary was begun"
            )
        if now.stage == CANARY:
            return False
        _move(session, now, CANARY, champion, f"its nights in shadow speak for it, by {by}")
        details = {"beside": champion}
        audit.record_entry(session, by, "shadow.canary", shadow.propensity, details)
    return True


def reconcile_shadow(session: Session) -> Shadow | None:
    """Return the challenger in shadow after changes of the champion. None if there is none by now.

    - The challenger is the champion: its shadow ends.
    - A person rejected it or rolled it back after its last promotion: its shadow ends.
    - Another champion is in use: the challenger starts again at the stage `shadow`. Only nights
      that were decided by the new champion count, so those of an earlier time in use count too.
    """
    with database.transaction(session.connection):
        database.lock(session.connection, "promotions")
        found = open_shadow(session)
        if found is None:
            return None
        champion, _ = registry.champion_pair(session)
        if found.propensity == champion:
            end_shadow(session, champion, "promoted", "it is in use")
            return None
        no = database.row(session.connection, "select_standing_no", model_version=found.propensity)
        if no is not None:
            reason = f"{no['decided_by']}: {no['occasion']}, {no['verdict']}"
            end_shadow(session, found.propensity, "withheld", reason)
            return None
        if found.champion != champion:
            reason = f"{champion} came into use instead of {found.champion}"
            _move(session, found, "shadow", champion, reason)
        return open_shadow(session)


def _move(session: Session, shadow: Shadow, stage: str, champion: str, reason: str) -> None:
    database.execute(
        session.connection,
        "update_shadow_stage",
        propensity_version=shadow.propensity,
        stage=stage,
        champion=champion,
        reason=reason,
    )
    log.info("%s: stage %s beside %s: %s", shadow.propensity, stage, champion, reason)
