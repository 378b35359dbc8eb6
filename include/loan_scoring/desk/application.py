"""Return one application for the desk: inputs, score, explanation, and what-if scores."""

from dataclasses import dataclass
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Column, Contract, under_model
from loan_scoring.database.session import Session
from loan_scoring.desk.changes import as_received, known_by, with_changes
from loan_scoring.desk.loan_ids import typed_loan_id
from loan_scoring.desk.words import deciding_percent
from loan_scoring.errors import LoanScoringError, MissingError
from loan_scoring.models.registry import model_row
from loan_scoring.scoring.request import ScoredRequest, explain_application, score_and_record

HIDDEN = "hidden"
"""What is shown instead of a value that is hidden from who decides."""


@dataclass(frozen=True)
class ApplicationField:
    """One field of an application, with its value, label and contribution to the score."""

    name: str
    label: str
    unit: str | None
    value: Any
    is_read: bool
    """Whether the model uses the field. The value is False if the score has no explanation."""
    shown: Any = None
    """The value as a person reads it: of a level its label."""
    contribution: float | None = None
    """What the value adds to the log-odds of default, or None if `is_read` is False."""
    is_hidden: bool = False
    """Whether the contract hides the value from who decides (`desk.mask_protected`)."""


@dataclass(frozen=True)
class DeskApplication:
    """One application as the desk shows it: score, inputs, explanation and decisions."""

    score: database.Row
    inputs: list[ApplicationField]
    base: float | None
    """Log-odds before any contribution, or None if there are no contributions.

    The sum of `base` and all contributions is the log-odds of the default probability.
    """
    unexplained: str | None
    """Reason why there are no contributions, or None if there are contributions."""
    approvals: list[database.Row]
    outcomes: list[database.Row]
    """Every statement on the outcome of the loan, the latest first. Usually there is none yet."""
    suggestion: str

    @property
    def contributions(self) -> list[ApplicationField]:
        """Return the inputs that have a contribution, the largest absolute contribution first."""
        given = [each for each in self.inputs if each.contribution is not None]
        return sorted(given, key=lambda each: -abs(each.contribution or 0))


def read_application(session: Session, loan_id: Any) -> DeskApplication:
    """Return an application with its current score and explanation.

    The explanation comes from the model version that made the score.

    Raises:
        MissingError: the loan has no current score.
    """
    key = typed_loan_id(session.contract, loan_id)
    with database.transaction(session.connection):
        score = database.row(session.connection, "select_application", loan_id=key)
        if score is None:
            raise MissingError(f"loan {key} of {session.contract.portfolio} has no current score")
        decided = database.rows(session.connection, "select_approvals", loan_id=key)
        outcomes = database.rows(session.connection, "select_outcome_history", loan_id=key)
    session = session.under(score)
    contract = session.contract
    hidden = set(contract.protected_names) if contract.desk.mask_protected else set()
    base, added, values, unexplained = _explained(session, score)
    values = score["application"] | values
    return DeskApplication(
        score,
        [
            ApplicationField(
                column.name,
                column.label,
                column.unit,
                None if column.name in hidden else values.get(column.name),
                column.name in added,
                HIDDEN if column.name in hidden else _shown(column, values.get(column.name)),
                added.get(column.name),
                column.name in hidden,
            )
            for column in _shown_columns(session, score)
        ],
        base,
        unexplained,
        decided,
        outcomes,
        policy_sentence(contract, score),
    )


def _shown_columns(session: Session, score: database.Row) -> list[Column]:
    """Return the columns of the file, and the look-ups and features of the model of a score."""
    with database.transaction(session.connection):
        row = model_row(session, score["propensity_version"])
    contract = under_model(session.contract, row["training_data"])
    read = contract.derived.closure(row["features"])
    return [*contract.inputs, *(c for c in contract.derived.columns.values() if c.name in read)]


def _shown(column: Column, value: Any) -> Any:
    return column.shown_level(value) if isinstance(value, str) else value


def _explained(
    session: Session, score: database.Row
) -> tuple[float | None, dict[str, float], dict[str, Any], str | None]:
    if score["exclusion_reason"] is not None:
        return None, {}, {}, "no model scores this application"
    received = as_received(session.contract, score)
    try:
        found = explain_application(session, received, score["propensity_version"], known_by(score))
    except LoanScoringError as error:
        # An artifact may be missing. Return the message, so that the page can still show the rest
        # of the application.
        return None, {}, {}, str(error)
    if found is None:
        return None, {}, {}, "today's contract excludes this application"
    return *found, None


def policy_sentence(contract: Contract, score: database.Row) -> str:
    """Return a sentence that says what the policy decides for a score, and why."""
    policy, probability = contract.decision, score["default_probability"]
    if probability is None:
        label = next(
            (
                each.label
                for each in contract.exclusions
                if each.reason == score["exclusion_reason"]
            ),
            score["exclusion_reason"],
        )
        return f"Refer: {label[:1].lower()}{label[1:]}, and no model scores such an application."
    place = {
        "approve": f"below {policy.approve_below:.0%}, where review begins",
        "decline": f"not below {policy.decline_from:.0%}, where decline begins",
        "review": f"between approval below {policy.approve_below:.0%} and decline from "
        f"{policy.decline_from:.0%}",
    }[score["decision"]]
    chance = deciding_percent(probability, (policy.approve_below, policy.decline_from))
    return (
        f"{score['decision'].capitalize()}: the default probability, {chance}, is "
        f"{place}. "
        f"In training, {score['persona_default_rate']:.1%} of the applicant's persona defaulted."
    )


def score_what_if(
    session: Session, loan_id: Any, changes: dict[str, Any], model: str, user: str
) -> tuple[dict[str, Any], ScoredRequest]:
    """Score an application with changed inputs. Return the changed application and the result.

    The application's current score does not change. If the numerator or denominator of a ratio
    changes, the ratio is calculated again, unless `changes` contains a value for the ratio. The
    result is recorded in table `calls`.

    Args:
        session: database session of the application role.
        loan_id: loan_id of the application.
        changes: new values by field name.
        model: `champion` or a model version.
        user: person who asks, as `airflow:NAME`.

    Raises:
        MissingError: the loan has no current score, or the model version does not exist.
        StateError: there is no champion, or a model's artifact was changed.
        InputError: the changed application breaks a rule of the contract.
        BusyError: another request is being scored in this process.
    """
    contract = session.contract
    key = typed_loan_id(contract, loan_id)
    with database.transaction(session.connection):
        found = database.row(session.connection, "select_application", loan_id=key)
    if found is None:
        raise MissingError(f"loan {key} of {contract.portfolio} has no current score")
    changed = with_changes(contract, as_received(contract, found), changes)
    return changed, score_and_record(session, [changed], model, user, "what_if", known_by(found))
