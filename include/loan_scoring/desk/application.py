"""Read one application of the desk: its score, its explanation, a what-if."""

from dataclasses import dataclass
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.desk.decisions import typed_loan_id
from loan_scoring.errors import LoanScoringError, MissingError
from loan_scoring.scoring.request import ScoredRequest, explain_application, score_and_record


@dataclass(frozen=True)
class ApplicationField:
    """A field of an application, as a person reads it."""

    name: str
    label: str
    unit: str | None
    value: Any
    is_read: bool
    """Whether the model that scored it reads the field."""
    contribution: float | None = None
    """What it adds to the log-odds."""


@dataclass(frozen=True)
class DeskApplication:
    """All that the desk shows of one application."""

    score: database.Row
    inputs: list[ApplicationField]
    base: float | None
    """Log-odds before any input is known; base and contributions sum to the log-odds."""
    unexplained: str | None
    """Why there are no contributions, where there are none."""
    approvals: list[database.Row]
    suggestion: str

    @property
    def contributions(self) -> list[ApplicationField]:
        """The inputs with a contribution, the strongest first."""
        given = [each for each in self.inputs if each.contribution is not None]
        return sorted(given, key=lambda each: -abs(each.contribution or 0))


def read_application(session: Session, loan_id: Any) -> DeskApplication:
    """Return an application with the score that counts, explained by the model that gave it.

    Raises:
        MissingError: the loan has no score that counts.
    """
    key = typed_loan_id(session.contract, loan_id)
    with database.transaction(session.connection):
        score = database.row(session.connection, "select_application", loan_id=key)
        if score is None:
            raise MissingError(
                f"loan {key} of {session.contract.portfolio} has no score that counts"
            )
        decided = database.rows(session.connection, "select_approvals", loan_id=key)
    session = session.under(score)
    contract = session.contract
    base, added, unexplained = _explained(session, score)
    return DeskApplication(
        score,
        [
            ApplicationField(
                column.name,
                column.label,
                column.unit,
                score["application"].get(column.name),
                column.name in added,
                added.get(column.name),
            )
            for column in contract.inputs
        ],
        base,
        unexplained,
        decided,
        policy_sentence(contract, score),
    )


def _explained(
    session: Session, score: database.Row
) -> tuple[float | None, dict[str, float], str | None]:
    if score["exclusion_reason"] is not None:
        return None, {}, "no model judges this application"
    try:
        found = explain_application(session, score["application"], score["propensity_version"])
    except LoanScoringError as error:  # such as an artifact that is gone: the rest is still shown
        return None, {}, str(error)
    if found is None:
        return None, {}, "today's contract excludes this application"
    return *found, None


def policy_sentence(contract: Contract, score: database.Row) -> str:
    """Say in a sentence what the policy makes of a score, and why."""
    policy, chance = contract.decision, score["default_probability"]
    if chance is None:
        label = next(
            (
                each.label
                for each in contract.exclusions
                if each.reason == score["exclusion_reason"]
            ),
            score["exclusion_reason"],
        )
        return f"Refer: {label[:1].lower()}{label[1:]}, and no model judges such an application."
    told = {
        "approve": f"below {policy.approve_below:.0%}, from where a person looks at it",
        "decline": f"not below {policy.decline_from:.0%}, from where the policy declines",
        "review": f"between approval below {policy.approve_below:.0%} and decline from "
        f"{policy.decline_from:.0%}",
    }[score["decision"]]
    return (
        f"{score['decision'].capitalize()}: the probability of default, {chance:.1%}, is {told}. "
        f"{score['persona_default_rate']:.1%} of the applicant's group defaulted at training."
    )


def score_what_if(
    session: Session, loan_id: Any, changes: dict[str, Any], model: str, user: str
) -> tuple[dict[str, Any], ScoredRequest]:
    """Score an application with changed inputs, by `champion` or a version; it is no score of it.

    Fields that the contract calculates from others (ratios) follow what they are calculated from,
    unless they are changed themselves. Returns the changed application and the answer, which is on
    record in `calls`.

    Raises:
        MissingError: the loan has no score that counts, or there is no such version.
        InputError: a changed input breaks a rule.
    """
    contract = session.contract
    key = typed_loan_id(contract, loan_id)
    with database.transaction(session.connection):
        found = database.row(session.connection, "select_application", loan_id=key)
    if found is None:
        raise MissingError(f"loan {key} of {contract.portfolio} has no score that counts")
    changed = {**found["application"], **changes}
    for ratio in contract.ratios:
        if ratio.column not in changes and {ratio.numerator, ratio.denominator} & changes.keys():
            changed[ratio.column] = _ratio(
                ratio.scale, changed[ratio.numerator], changed[ratio.denominator]
            )
    return changed, score_and_record(session, [changed], model, user, "what_if")


def _ratio(scale: float, numerator: Any, denominator: Any) -> float | None:
    try:
        return scale * float(numerator) / float(denominator)
    except (TypeError, ValueError, ZeroDivisionError):
        return None  # what is no number is told of the field itself
