"""Forms and filters of pages, as models that FastAPI fills and checks."""

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
    """Return the text if Postgres can store it.

    Raises:
        PydanticCustomError: it cannot.
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
"""Why a person does something: it must be filled in."""
OptionalComment = Annotated[
    str, StringConstraints(max_length=LONGEST_COMMENT), AfterValidator(storable)
]


def parse_place(text: str) -> tuple[float, str]:
    """Return a place in the queue, `PROBABILITY/LOAN_ID`, as its two parts.

    Raises:
        PydanticCustomError: the text is no such place.
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
    """Base of models whose empty fields count as missing, as a browser sends them."""

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, fields: Any) -> Any:
        return {name: value for name, value in fields.items() if value != ""}


class AlertForm(_EmptyIsMissing):
    """What to do with an alert: acknowledge, snooze until a day, or resolve."""

    action: str
    comment: OptionalComment = ""
    until: date | None = None


class DecisionForm(_EmptyIsMissing):
    """A person's decision on an application."""

    decision: Literal["approve", "decline"]
    comment: Comment
    scoring_run_id: Name
    """The score that the person saw."""
    seen: str = ""
    """The token of the newest decision that the person saw."""


class RollbackForm(_EmptyIsMissing):
    """An Admin's rollback of the champions."""

    comment: Comment
    seen: Name
    """The champion that the person saw."""
    confirm: Literal["yes"]


class QueueQuery(_EmptyIsMissing):
    """Which page of a batch's queue to show."""

    batch: Annotated[str | None, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] = None
    decision: Literal["review", "refer"] | None = None
    persona: Text | None = None
    reason: Text | None = None
    low: Annotated[float | None, Field(ge=0, le=100, allow_inf_nan=False)] = None
    """The lowest probability, in percent."""
    high: Annotated[float | None, Field(ge=0, le=100, allow_inf_nan=False)] = None
    """Probabilities must be below this one, in percent."""
    decided: Literal["yes", "no"] | None = None
    after: Annotated[Text, AfterValidator(_check_place)] | None = None
    """The last row of the page before, as `PROBABILITY/LOAN_ID`."""

    def place(self) -> tuple[float, str] | None:
        """Return the last row of the page before, None on the first page."""
        return None if self.after is None else parse_place(self.after)

    def queue_filter(self) -> QueueFilter:
        """Return the filter, with probabilities as shares of 1."""
        return QueueFilter(
            decision=self.decision,
            persona=self.persona,
            reason=self.reason,
            low=None if self.low is None else self.low / 100,
            high=None if self.high is None else self.high / 100,
            is_decided=None if self.decided is None else self.decided == "yes",
        )


async def form_fields(request: Request) -> dict[str, str]:
    """Return the fields of a form whose fields depend on the contract.

    Of a field that is sent twice, the last counts.
    """
    form = await request.form()
    return {name: value for name, value in form.items() if isinstance(value, str)}


FormFields = Annotated[dict[str, str], Depends(form_fields)]
