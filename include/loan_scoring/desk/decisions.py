"""Record the decisions of persons on applications that the policy leaves to a person.

These are the applications for which the policy decides `review` or `refer`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database import audit
from loan_scoring.database.session import Session
from loan_scoring.errors import LoanScoringError, MissingError, StateError

DECISIONS = ("approve", "decline")
LEFT_TO_A_PERSON = ("review", "refer")
MOST_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class RecordedDecision:
    """A recorded decision.

    `replaces` is the previous decision on the loan, or None if this decision is the first.
    """

    loan_id: Any
    decision: str
    decided_by: str
    decided_at: datetime
    replaces: database.Row | None

    @property
    def sentence(self) -> str:
        """Return one line of text that says what was recorded."""
        recorded = f"loan {self.loan_id}: {self.decision}, recorded for {self.decided_by}"
        if self.replaces is None:
            return recorded
        earlier = self.replaces
        return (
            f"{recorded}; it replaces {earlier['decision']} by {earlier['decided_by']} "
            f"({earlier['decided_at']:%Y-%m-%d %H:%M} UTC)"
        )


def record_decision(
    session: Session,
    loan_id: Any,
    decision: str,
    comment: str,
    user: str,
    scoring_run_id: str | None = None,
    seen: str | None = None,
) -> RecordedDecision:
    """Record a person's decision on an application. Earlier decisions stay in table `approvals`.

    Args:
        session: database session of the application role.
        loan_id: loan_id of the application.
        decision: `approve` or `decline`.
        comment: reason for the decision, not empty.
        user: person who decides, as `airflow:NAME`.
        scoring_run_id: scoring run of the score that the person saw. None skips the
            check whether the application was scored again.
        seen: `decision_token` of the decisions that the person saw. None skips
            the check whether the application was decided again.

    Raises:
        MissingError: the loan has no current score.
        StateError: the policy itself approves or declines the application, or the application was
            scored or decided again since the person saw it.
        LoanScoringError: the decision is unknown, or the comment is empty.
    """
    comment = comment.strip()
    if decision not in DECISIONS:
        raise LoanScoringError(f"decision '{decision}' is not one of {', '.join(DECISIONS)}")
    if not comment:
        raise LoanScoringError(
            "the comment is empty; give the reason, it is recorded with the decision"
        )
    key = typed_loan_id(session.contract, loan_id)
    with database.transaction(session.connection):
        database.lock(session.connection, f"approval:{key}")
        score = database.row(session.connection, "select_score_to_decide", loan_id=key)
        _refuse_undecidable(session.contract, score, key, scoring_run_id)
        assert score is not None  # noqa: S101 - _refuse_undecidable raised an error for None
        earlier = database.row(session.connection, "select_last_approval", loan_id=key)
        if earlier is not None and seen is not None and seen != decision_token([earlier]):
            raise StateError(
                f"loan {key} was decided meanwhile by {earlier['decided_by']}; "
                "open the application again"
            )
        recorded = database.row(
            session.connection,
            "insert_approval",
            loan_id=key,
            decision=decision,
            comment=comment,
            decided_by=user,
            batch_id=score["batch_id"],
            scoring_run_id=score["scoring_run_id"],
            suggestion=score["decision"],
            default_probability=score["default_probability"],
            exclusion_reason=score["exclusion_reason"],
        )
        assert recorded is not None  # noqa: S101 - INSERT ... RETURNING returns the new row
        details = {"comment": comment, **score, "replaces": earlier}
        audit.record_entry(session, user, f"approval.{decision}", f"loan {key}", details)
    return RecordedDecision(key, decision, user, recorded["decided_at"], earlier)


def decision_token(decided: Sequence[database.Row]) -> str:
    """Return a token that identifies the newest decision on a loan.

    Return an empty string if there is no decision. When another decision is recorded, the token
    changes.

    Args:
        decided: decisions on the loan, the newest first.
    """
    return decided[0]["decided_at"].astimezone(UTC).isoformat() if decided else ""


def typed_loan_id(contract: Contract, loan_id: Any) -> Any:
    """Convert a loan_id to the type of the contract's key, an integer or a string.

    A UUID is written in lower case, as Postgres returns it.

    Raises:
        MissingError: no loan of the portfolio can have this loan_id.
    """
    text = str(loan_id)
    if not contract.key.is_numeric:
        if "\x00" in text or not text.isprintable():
            raise MissingError(f"no loan of {contract.portfolio} has this loan_id")
        if contract.key.type == "uuid":
            try:
                return str(UUID(text))
            except ValueError as error:
                raise MissingError(
                    f"'{text[:40]}' is not a loan_id of {contract.portfolio}"
                ) from error
        return text
    # Check the length before int(), because int() raises ValueError for thousands of digits.
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_INTEGER))
    if not is_number or int(text) > MOST_INTEGER:
        raise MissingError(f"'{text[:40]}' is not a loan_id of {contract.portfolio}")
    return int(text)


def _refuse_undecidable(
    contract: Contract, score: database.Row | None, key: Any, scoring_run_id: str | None
) -> None:
    if score is None:
        raise MissingError(f"loan {key} of {contract.portfolio} has no current score")
    if scoring_run_id is not None and scoring_run_id != score["scoring_run_id"]:
        raise StateError(
            f"loan {key} was scored again since you opened it, in {score['scoring_run_id']}; "
            "open the application again, then decide"
        )
    if score["decision"] not in LEFT_TO_A_PERSON:
        raise StateError(
            f"loan {key}: the policy decides {score['decision']}; a person decides "
            f"{' and '.join(LEFT_TO_A_PERSON)} only"
        )
