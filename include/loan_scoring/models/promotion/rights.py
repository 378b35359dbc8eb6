"""Say which promotion mode is in effect, and who may not approve a promotion."""

from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.database import audit
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.models import registry
from loan_scoring.models.promotion.signatures import person, trained_by
from loan_scoring.models.registry import PROPENSITY


def mode_in_effect(contract: Contract, asked: str | None = None) -> str:
    """Return the promotion mode in effect, `auto` or `hold`.

    LOAN_SCORING_PROMOTION=hold is for environments in which a person must decide. So a run cannot
    override it.

    Args:
        contract: contract with the mode that holds where nothing else is given.
        asked: mode that a run asks for, or None.

    Raises:
        StateError: the run asks for `auto`, and the environment says `hold`.
    """
    of_environment = settings.promotion_mode()
    if of_environment == "hold":
        if asked == "auto":
            raise StateError(
                "LOAN_SCORING_PROMOTION is hold here, so no run may promote by itself: leave out "
                "promote, and let a person decide"
            )
        return "hold"
    return asked or of_environment or contract.promotion.mode


def refuse_own_training(
    session: Session, versions: dict[str, str], decided_by: str, triggered_by: str | None = None
) -> None:
    """Refuse that a person promotes a pair whose training the same person started.

    The attempt is written to the audit log. A training on a schedule was started by nobody.

    Args:
        session: database session.
        versions: versions of the pair, by kind.
        decided_by: the person who decides.
        triggered_by: the person who started the run that asks, or None.

    Raises:
        StateError: the person started the training or the run.
    """
    # A classifier of scans has no pair.
    judged = versions.get(PROPENSITY) or next(iter(versions.values()))
    starters = triggered_by, trained_by(registry.model_row(session, judged))
    if person(decided_by) not in (person(each) for each in starters if each is not None):
        return
    with database.transaction(session.connection):
        subject, details = ", ".join(versions.values()), {"reason": "own training"}
        audit.record_entry(session, decided_by, "promotion.denied", subject, details)
    raise StateError(
        f"{decided_by} started the training of {judged}, so another person must approve it"
    )
