"""Pydantic models of the forms and filters of pages. FastAPI fills and validates them."""

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
    """Return the text unchanged if Postgres can store it.

    Raises:
        PydanticCustomError: Postgres cannot store the text.
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
"""The reason for an action. It must not be empty."""
OptionalComment = Annotated[
    str, StringConstraints(max_length=LONGEST_COMMENT), AfterValidator(storable)
]


def parse_place(text: str) -> tuple[float, str]:
    """Parse a position in the queue, written as `PROBABILITY/LOAN_ID`.

    Return the default probability and the loan_id.

    Raises:
        PydanticCustomError: the text is not of this form.
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
    """Base of form models. An empty string counts as a missing field.

    Browsers send an empty string for a form field that the user left empty.
    """

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, fields: Any) -> Any:
        return {name: value for name, value in fields.items() if value != ""}


class AlertForm(_EmptyIsMissing):
    """Form with an action on an alert: acknowledge, snooze until a day, or resolve."""

    action: str
    comment: OptionalComment = ""
    until: date | None = None


class DecisionForm(_EmptyIsMissing):
    """Form with a person's decision on an application."""

    decision: Literal["approve", "decline"]
    comment: Comment
    scoring_run_id: Name
    """The scoring run of the score that the person saw."""
    seen: str = ""
    """Token of the newest decision that was recorded when the person opened the page."""


class RollbackForm(_EmptyIsMissing):
    """Form with which an Admin rolls the champions back."""

    comment: Comment
    seen: Name
    """The propensity champion at the time when the Admin opened the page."""
    confirm: Literal["yes"]


class QueueQuery(_EmptyIsMissing):
    """Query parameters that choose a batch, filter its queue and select a page of the queue."""

    batch: Annotated[str | None, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] = None
    decision: Literal["review", "refer"] | None = None
    persona: Text | None = None
    reason: Text | None = None
    low: Annotated[float | None, Field(ge=0, le=100, allow_inf_nan=False)] = None
    """The lowest default probability to show, in percent."""
    high: Annotated[float | None, Field(ge=0, le=100, allow_inf_nan=False)] = None
    """Only default probabilities below this limit are shown, in percent."""
    decided: Literal["yes", "no"] | None = None
    after: Annotated[Text, AfterValidator(_check_place)] | None = None
    """The last row of the previous page, as `PROBABILITY/LOAN_ID`."""

    def place(self) -> tuple[float, str] | None:
        """Return the default probability and the loan_id of the last row of the previous page.

        Return None if this is the first page.
        """
        return None if self.after is None else parse_place(self.after)

    def queue_filter(self) -> QueueFilter:
        """Return the filter of the queue. Percentages become probabilities from 0 to 1."""
        return QueueFilter(
            decision=self.decision,
            persona=self.persona,
            reason=self.reason,
            low=None if self.low is None else self.low / 100,
            high=None if self.high is None else self.high / 100,
            is_decided=None if self.decided is None else self.decided == "yes",
        )


async def form_fields(request: Request) -> dict[str, str]:
    """Return a form's text fields by name, without validation.

    No model can validate this form because the names of its fields depend on the contract. If a
    field is sent twice, the last value counts.
    """
    form = await request.form()
    return {name: value for name, value in form.items() if isinstance(value, str)}


FormFields = Annotated[dict[str, str], Depends(form_fields)]
