"""Say before a training what becomes of a pair that an earlier training of the same rows fitted."""

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.promotion.rights import mode_in_effect
from loan_scoring.models.registry import PROPENSITY


def known_pair_sentence(session: Session, fingerprint: str, mode: str | None = None) -> str | None:
    """Return what a training will do with the pair that is registered for its rows.

    Return None if there is no such pair, so that the training fits one.

    Args:
        session: database session.
        fingerprint: fingerprint of the rows.
        mode: `auto` or `hold`, the mode that the run asks for. None: the environment's or the
            contract's.
    """
    with database.transaction(session.connection):
        known = registry.versions_by_fingerprint(session, fingerprint)
        if not known:
            return None
        version = known[PROPENSITY]
        in_use = registry.champion_version(session, PROPENSITY)
        no = database.row(session.connection, "select_standing_no", model_version=version)
    found = f"an earlier training of the same rows made {version}, so nothing is fitted"
    if in_use == version:
        return f"{found}: it is in use already, so there is nothing to ask"
    if no is None:
        asked = (
            "a person is asked"
            if mode_in_effect(session.contract, mode) == "hold"
            else ("it is promoted")
        )
        return f"{found}: {asked} if it passes the gates"
    what = "rolled it back" if no["occasion"] == "rollback" else "rejected it"
    if mode == "hold":
        return (
            f"{found}: {no['decided_by']} {what}, and as you asked to hold, a person is asked again"
        )
    return (
        f"{found}: {no['decided_by']} {what}, so it stays out of use; to be asked about it again, "
        "start the training with promote: hold"
    )
