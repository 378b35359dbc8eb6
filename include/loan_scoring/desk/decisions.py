"""Record what persons do with applications: decide, ask for documents, confirm, undo, claim.

Functions of the owner write it (docs/adr/0057). They check again what is checked here.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg2

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.desk.loan_ids import typed_loan_id
from loan_scoring.desk.terms import WORDS, Terms, checked_comment
from loan_scoring.errors import DatabaseError, MissingError, StateError

LEFT_TO_A_PERSON = ("review", "refer")


@dataclass(frozen=True)
class RecordedDecision:
    """A recorded step.

    `replaces` is the last step on the loan before, or None if this step is the first. If
    `awaits_second`, the decision counts once another person confirms it. `confirms` is the number
    of the first person's decision that this one confirms.
    """

    loan_id: Any
    decision: str
    decided_by: str
    decided_at: datetime
    replaces: database.Row | None
    approval_id: int
    awaits_second: bool = False
    confirms: int | None = None

    @property
    def sentence(self) -> str:
        """Return one line of text that says what was recorded."""
        recorded = (
            f"loan {self.loan_id}: {WORDS[self.decision]}, recorded for {self.decided_by}"
            + ", and waits for a second person" * self.awaits_second
        )
        if self.replaces is None:
            return recorded
        earlier = self.replaces
        verb = "confirms" if self.confirms is not None else "replaces"
        return (
            f"{recorded}; it {verb} {WORDS[earlier['decision']]} by {earlier['decided_by']} "
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
    terms: Terms | None = None,
) -> RecordedDecision:
    """Record a person's step on an application. Earlier steps stay in table `approvals`.

    If the contract wants a second person for the amount of the loan, the decision of the first
    person counts once another person records the same decision.

    Args:
        session: database session of the application role.
        loan_id: loan_id of the application.
        decision: `approve`, `decline` or `documents`.
        comment: reason for the decision. It may be empty if the terms have a standard reason.
        user: person who decides, as `airflow:NAME`.
        scoring_run_id: scoring run of the score that the person saw. None skips the
            check whether the application was scored again.
        seen: `decision_token` of the steps that the person saw. None skips the check whether
            somebody worked on the application since.
        terms: condition, standard reason, appeal. None for none.

    Raises:
        MissingError: the loan has no current score.
        StateError: the policy itself approves or declines the application and this is no appeal,
            the application was scored or decided again since the person saw it, another person
            claimed it, or a second person is needed.
        LoanScoringError: decision, reason or condition is unknown, or the comment is empty.
    """
    terms = terms or Terms()
    comment = checked_comment(session.contract, decision, comment, terms)
    key = typed_loan_id(session.contract, loan_id)
    with _deciding(session):
        score = database.row(session.connection, "select_score_to_decide", loan_id=key)
        _refuse_undecidable(session.contract, score, key, scoring_run_id, terms.is_appeal)
        assert score is not None  # noqa: S101 - _refuse_undecidable raised an error for None
        earlier = database.row(session.connection, "select_last_approval", loan_id=key)
        if earlier is not None and seen is not None and seen != decision_token([earlier]):
            raise StateError(
                f"loan {key} was decided meanwhile by {earlier['decided_by']}; "
                "open the application again"
            )
        recorded = database.row(
            session.connection,
            "decide_application",
            loan_id=key,
            decision=decision,
            comment=comment,
            decided_by=user,
            seen_run=score["scoring_run_id"],
            seen_step=None if seen is None else int(seen or 0),
            **vars(terms),
        )
        assert recorded is not None  # noqa: S101 - the function always gives one row
    replaced = {
        "decision": recorded["replaced_decision"],
        "decided_by": recorded["replaced_by"],
        "decided_at": recorded["replaced_at"],
    }
    return RecordedDecision(
        key,
        decision,
        user,
        recorded["decided_at"],
        replaced if recorded["replaced_id"] is not None else None,
        recorded["approval_id"],
        recorded["awaits_second"],
        recorded["confirms"],
    )


def record_referrals(
    session: Session,
    run_id: str,
    reason: str,
    decision: str,
    comment: str,
    user: str,
    seen_loans: int,
    standard_reason: str | None = None,
) -> tuple[int, int]:
    """Decide all open applications of a run that were referred for one reason: all, or none.

    Those that a person claimed or worked on are left out. Return how many were decided, and how
    many of them wait for a second person.

    Args:
        session: database session of the application role.
        run_id: current scoring run of the batch.
        reason: exclusion reason of the scores.
        decision: `approve`, `decline` or `documents`, for all of them.
        comment: reason for the decision. It may be empty if there is a standard reason.
        user: person who decides, as `airflow:NAME`.
        seen_loans: how many there were on the page that the person saw.
        standard_reason: code of a standard reason, or None.

    Raises:
        StateError: there are more or fewer now, or there is none.
        LoanScoringError: decision or reason is unknown, or the comment is empty.
    """
    comment = checked_comment(session.contract, decision, comment, Terms(standard_reason))
    if not seen_loans:
        raise StateError(f"no application referred as {reason} waits for a decision")
    with _deciding(session):
        found = database.row(
            session.connection,
            "decide_referrals",
            scoring_run_id=run_id,
            reason=reason,
            decision=decision,
            comment=comment,
            decided_by=user,
            standard_reason=standard_reason,
            seen_loans=seen_loans,
        )
    assert found is not None  # noqa: S101 - the function always gives one row
    return found["loans"], found["awaiting"]


def undo_decision(session: Session, approval_id: int, user: str) -> database.Row:
    """Take back the last step on a loan. The undo is a row of its own; nothing is deleted.

    Return the `loan_id` as text and the `decision` that was undone.

    Raises:
        StateError: another person made the step, somebody worked on the loan since, or it is too
            late: scores were published since, or the contract's `desk.undo_minutes` are over.
    """
    with _deciding(session):
        found = database.row(
            session.connection, "undo_decision", approval_id=approval_id, undone_by=user
        )
    assert found is not None  # noqa: S101 - the function always gives one row
    return found


def claim_application(
    session: Session, loan_id: Any, assigned_to: str | None, user: str, seen_holder: str | None
) -> None:
    """Give an application to a person, or to nobody. Only this person can then decide it.

    Args:
        session: database session of the application role.
        loan_id: loan_id of the application.
        assigned_to: person who works on it, as `airflow:NAME`. None gives it back.
        user: person who acts, as `airflow:NAME`.
        seen_holder: person who had it on the page that the user saw, or None.

    Raises:
        StateError: another person claimed it meanwhile, or the loan has no current score.
    """
    key = typed_loan_id(session.contract, loan_id)
    with _deciding(session):
        database.row(
            session.connection,
            "claim_application",
            loan_id=key,
            assigned_to=assigned_to,
            assigned_by=user,
            seen_holder=seen_holder,
        )


def decision_token(steps: Sequence[database.Row]) -> str:
    """Return a token that identifies the last step on a loan that stands.

    Return an empty string if there is none. When another step is recorded or undone, the token
    changes.

    Args:
        steps: steps on the loan that stand, the newest first.
    """
    return str(steps[0]["approval_id"]) if steps else ""


@contextmanager
def _deciding(session: Session) -> Iterator[None]:
    """Run the block as one transaction, in which a refusal by the owner's function is our error.

    Raises:
        StateError: the function refused.
        DatabaseError: the rules of the desk in the database are not those of the contract.
    """
    try:
        with database.transaction(session.connection):
            rules = database.row(session.connection, "select_desk_rules")
            if rules != session.contract.desk_rules:
                raise DatabaseError(
                    f"the rules of the desk of {session.contract.portfolio} differ between "
                    "contract and database; run `loan-scoring migrate`"
                )
            yield
    except psycopg2.errors.CheckViolation as error:
        if error.diag.constraint_name:
            raise
        raise StateError(str(error.diag.message_primary)) from error


def _refuse_undecidable(
    contract: Contract,
    score: database.Row | None,
    key: Any,
    scoring_run_id: str | None,
    is_appeal: bool,
) -> None:
    if score is None:
        raise MissingError(f"loan {key} of {contract.portfolio} has no current score")
    if scoring_run_id is not None and scoring_run_id != score["scoring_run_id"]:
        raise StateError(
            f"loan {key} was scored again since you opened it, in {score['scoring_run_id']}; "
            "open the application again, then decide"
        )
    is_left = score["decision"] in LEFT_TO_A_PERSON
    if is_appeal and is_left:
        raise StateError(f"loan {key} is left to a person, so it needs no appeal; decide it")
    if not is_appeal and not is_left:
        raise StateError(
            f"loan {key}: the policy decides {score['decision']}; a person decides "
            f"{' and '.join(LEFT_TO_A_PERSON)} only"
        )
