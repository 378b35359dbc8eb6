"""Define how people decide at the desk: columns, due date, reasons, second person, appeals."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from loan_scoring.contract.parts import ContractPart, Positive, first_repeated, later

if TYPE_CHECKING:
    from loan_scoring.contract.columns import Column
    from loan_scoring.contract.contract import Contract

MOST_REASONS = 9
"""Each standard reason has a key of its own, 1 to 9."""


class StandardReason(ContractPart):
    """A reason that a person may choose instead of writing one."""

    reason: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    """Its code, which is stored with the decision."""
    label: Annotated[str, Field(min_length=1, max_length=200)]
    """What is recorded as comment if the person writes none."""
    decision: Literal["approve", "decline", "documents"] | None = None
    """The only decision that it is a reason for; without it, of any."""


class DeskPolicy(ContractPart):
    """How people decide the applications that the policy leaves to them."""

    columns: Annotated[list[str], Field(max_length=6)] | None = later(None)
    """Numbers of the application that the queue shows and sorts by. Without it: `business.amount`,
    and each of `ratios` with this amount as numerator, such as loan to value.
    """
    answer_within_hours: Annotated[int, Field(ge=1, le=8760)] | None = later(None)
    """An application is due so many hours after its batch landed. Without it there is no due date.
    """
    undo_minutes: Annotated[int, Field(ge=1, le=10_080)] | None = later(None)
    """A person can undo the own last decision on a loan for so many minutes. Without it, and at
    most, until scores are published again.
    """
    reasons: Annotated[list[StandardReason], Field(max_length=MOST_REASONS)] = later([])
    """Standard reasons, in the order of their keys 1 to 9."""
    four_eyes_above: Positive | None = later(None)
    """A decision on more than this amount (`business.amount`), or on an amount that is missing,
    counts once a second person has confirmed it.
    """
    mask_protected: bool = later(False)
    """Whether the page of an application hides the values of protected columns from who decides."""
    negotiable: Annotated[list[str], Field(min_length=1)] | None = later(None)
    """Inputs in which the smallest change that approves is looked for, such as amount and term.
    Without it: each input that the model reads and that is not protected.
    """
    appeal_roles: list[str] = later([])
    """Roles of Airflow that may decide appeals, which are decisions on loans that the policy
    approved or declined. An Admin always may.
    """

    @field_validator("reasons")
    @classmethod
    def _have_own_codes(cls, reasons: list[StandardReason]) -> list[StandardReason]:
        repeated = first_repeated([each.reason for each in reasons])
        if repeated is not None:
            raise ValueError(f"reason '{repeated}' is declared twice")
        return reasons


def desk_columns(contract: "Contract") -> "list[Column]":
    """Return the columns of the application that the queue shows, in order."""
    chosen = contract.desk.columns
    if chosen is None:
        amount = contract.business and contract.business.amount
        ratios = [each.column for each in contract.ratios if each.numerator == amount]
        stored = {column.name for column in contract.stored}
        chosen = [name for name in ([amount] if amount else []) + ratios if name in stored]
    return [contract.by_name[name] for name in chosen]


def check_desk(contract: "Contract") -> None:
    """Check that the columns and the amount of the desk fit the contract.

    Raises:
        ValueError: they do not. The message names the field.
    """
    stored = {column.name: column for column in contract.stored}
    repeated = first_repeated(contract.desk.columns or [])
    if repeated is not None:
        raise ValueError(f"desk.columns: column '{repeated}' is listed twice")
    for name in contract.desk.columns or []:
        if name not in stored:
            raise ValueError(f"desk.columns: no column of the application is named '{name}'")
        if not stored[name].is_numeric:
            raise ValueError(f"desk.columns: {name} is not a number")
        if not stored[name].is_known_at_application:
            raise ValueError(f"desk.columns: {name} is not known at application")
        if name in contract.protected_names:
            raise ValueError(f"desk.columns: {name} is protected, so the queue does not show it")
    for name in contract.desk.negotiable or []:
        if name not in {column.name for column in contract.columns}:
            raise ValueError(f"desk.negotiable: no column of the file is named '{name}'")
        if name in contract.protected_names:
            raise ValueError(f"desk.negotiable: {name} is protected, so nothing is asked to change")
    if contract.desk.four_eyes_above is not None:
        if contract.business is None:
            raise ValueError("desk.four_eyes_above: declare business.amount, which it limits")
        if contract.business.amount not in stored:
            raise ValueError(
                f"desk.four_eyes_above: {contract.business.amount} is not stored with the "
                "application; name a column of the file as business.amount"
            )
