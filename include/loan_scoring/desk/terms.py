"""Define what a person may decide, and check comment, standard reason and condition."""

from dataclasses import dataclass

from loan_scoring.contract import Contract
from loan_scoring.errors import LoanScoringError

DOCUMENTS = "documents"
DECISIONS = ("approve", "decline", DOCUMENTS)
WORDS = {"approve": "approve", "decline": "decline", DOCUMENTS: "documents wanted"}


@dataclass(frozen=True)
class Terms:
    """What a person may add to a decision.

    `standard_reason` is the code of a reason of the contract. `approved_up_to` is the largest
    amount of an approval. `is_appeal` says that this is an appeal against a decision of the policy;
    the caller checks the right to decide appeals.
    """

    standard_reason: str | None = None
    approved_up_to: float | None = None
    is_appeal: bool = False


def checked_comment(contract: Contract, decision: str, comment: str, terms: Terms) -> str:
    """Return the comment to record: the person's words, or the label of the standard reason.

    Raises:
        LoanScoringError: decision, reason or condition do not fit, or there is no comment.
    """
    if decision not in DECISIONS:
        raise LoanScoringError(f"decision '{decision}' is not one of {', '.join(DECISIONS)}")
    if terms.approved_up_to is not None and decision != "approve":
        raise LoanScoringError("a largest amount is a condition of an approval only")
    comment = comment.strip()
    if terms.standard_reason is not None:
        known = {each.reason: each for each in contract.desk.reasons}
        found = known.get(terms.standard_reason)
        if found is None or found.decision not in (None, decision):
            raise LoanScoringError(
                f"'{terms.standard_reason}' is no standard reason for {WORDS[decision]}; "
                "choose another one, or write the reason"
            )
        comment = comment or found.label
    if not comment:
        raise LoanScoringError(
            "the comment is empty; give the reason, it is recorded with the decision"
        )
    return comment
