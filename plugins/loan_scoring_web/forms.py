"""Define Pydantic models, with which FastAPI validates the forms and filters of pages."""

import math
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Depends, Request
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from loan_scoring.desk.queue import QueueFilter
from loan_scoring.scoring.fields import is_storable

LONGEST_COMMENT = 2000


def storable(text: str) -> str:
    """Return a string unchanged if Postgres can store the string.

    Raises:
        PydanticCustomError: Postgres cannot store the string.
    """
    if not is_storable(text):
        raise PydanticCustomError("text", "this text cannot be stored: remove special characters")
    return text


Text = Annotated[str, AfterValidator(storable)]
Name = Annotated[str, StringConstraints(max_length=200), AfterValidator(storable)]
Comment = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_COMMENT),
    AfterValidator(storable),
]
"""Reason for an action, which must not be empty."""
OptionalComment = Annotated[
    str, StringConstraints(max_length=LONGEST_COMMENT), AfterValidator(storable)
]


def parse_place(text: str) -> tuple[float, str]:
    """Parse a position in the queue, written as `PROBABILITY/LOAN_ID`.

    Return the default probability and the loan_id.

    Raises:
        PydanticCustomError: the string does not have this format.
    """
    chance, _, loan_id = text.partition("/")
    try:
        value = float(chance)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and loan_id):
        raise PydanticCustomError("place", "this is no place in the queue: open the queue again")
    return value, loan_id


def _check_place(text: str) -> str:
    parse_place(text)
    return text


class _EmptyIsMissing(BaseModel):
    """Base class of form models that treats a field with an empty string as a missing field.

    This is needed because browsers send an empty string for a field that the user left empty.
    """

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, fields: Any) -> Any:
        return {name: value for name, value in fields.items() if value != ""}


class AlertForm(_EmptyIsMissing):
    """Form with which a person acknowledges, resolves or snoozes an alert.

    `until` is the first day on which a snoozed alert is shown again.
    """

    action: str
    comment: OptionalComment = ""
    until: date | None = None


class DecisionForm(_EmptyIsMissing):
    """Form with a person's decision on an application."""

    decision: Literal["approve", "decline"]
    comment: Comment
    scoring_run_id: Name
    """Scoring run of the score that the person saw when deciding."""
    seen: str = ""
    """`decision_token` of the decisions that the person saw. Empty if there were none."""


class RollbackForm(_EmptyIsMissing):
    """Form with which an Admin rolls the champions back."""

    comment: Comment
    seen: Name
    """Version of the propensity champion that the Admin saw on the page."""
    confirm: Literal["yes"]


class QueueQuery(_EmptyIsMissing):
    """Query parameters of the queue page: the batch, the filter and the page of the queue."""

    batch: Annotated[str | None, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] = None
    decision: Literal["review", "refer"] | None = None
    persona: Text | None = None
    reason: Text | None = None
    low: Annotated[float | None, Field(ge=0, le=100, allow_inf_nan=False)] = None
    """Minimum of the default probability, in percent. A probability equal to `low` is shown."""
    high: Annotated[float | None, Field(ge=0, le=100, allow_inf_nan=False)] = None
    """Limit of the default probability, in percent. Only probabilities below `high` are shown."""
    decided: Literal["yes", "no"] | None = None
    after: Annotated[Text, AfterValidator(_check_place)] | None = None
    """Last row of the previous page, as `PROBABILITY/LOAN_ID`. None for the first page."""

    def place(self) -> tuple[float, str] | None:
        """Return the default probability and the loan_id in `after`.

        Return None for the first page.
        """
        return None if self.after is None else parse_place(self.after)

    def queue_filter(self) -> QueueFilter:
        """Return the filter of the queue. Percentages are converted to probabilities."""
        return QueueFilter(
            decision=self.decision,
            persona=self.persona,
            reason=self.reason,
            low=None if self.low is None else self.low / 100,
            high=None if self.high is None else self.high / 100,
            is_decided=None if self.decided is None else self.decided == "yes",
        )


async def form_fields(request: Request) -> dict[str, str]:
    """Return the text fields of the what-if form by name, without validation.

    No Pydantic model can validate this form, because the names of the fields depend on the
    contract. If a field is sent twice, the last value counts.
    """
    form = await request.form()
    return {name: value for name, value in form.items() if isinstance(value, str)}


FormFields = Annotated[dict[str, str], Depends(form_fields)]
