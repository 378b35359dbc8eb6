"""Write the letter that tells an applicant why the rules declined an application."""

from string import Template

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.contract.reasons import LETTER
from loan_scoring.errors import StateError


def decline_letter(contract: Contract, record: database.Row) -> str:
    """Return the text of the letter, from the contract's template or the built-in one.

    It has the reasons of the score as they were recorded, the day of the decision, the source of
    the data and the right to a review by a person. It has nothing of the model.

    Args:
        contract: contract of the portfolio.
        record: current row of the query `select_loan_record`.

    Raises:
        StateError: the current decision is not that of the rules to decline, a person decided, or
            no reason is recorded.
    """
    loan = f"loan {record['loan_id']} of {contract.portfolio}"
    if not record["is_current"]:
        raise StateError(f"{loan} has no current score; score its batch again")
    if record["person_decided_by"] is not None:
        raise StateError(
            f"{record['person_decided_by']} decided {loan}: {record['person_decision']}; write the "
            "letter with the person's reasons, see the decision's comment on the page Desk"
        )
    if record["decision"] != "decline":
        raise StateError(f"the decision on {loan} is {record['decision']}, so there is no letter")
    if not record["reasons"]:
        raise StateError(f"{loan} was declined without a recorded reason; a person must review it")
    letter = contract.letter
    return Template(letter.template or LETTER).substitute(
        date=record["scored_at"].strftime(letter.date_format),
        loan_id=record["loan_id"],
        reasons="\n".join(f"- {reason}" for reason in record["reasons"]),
        title=contract.title,
        sources=letter.sources,
        contact=letter.contact or contract.owner,
    )
