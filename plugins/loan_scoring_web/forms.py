"""Define Pydantic models, with which FastAPI validates the forms and filters of pages."""

import math
import re
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends, Request
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
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


def _calendar_date(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise PydanticCustomError("night", "this is no date of the calendar") from error
    return text


Text = Annotated[str, AfterValidator(storable)]
Night = Annotated[
    str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), AfterValidator(_calendar_date)
]
"""A batch_id, which is a date. Postgres refuses a date that no calendar has."""
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
    """Parse a position in the queue, written as `VALUE/LOAN_ID`.

    Return the value by which the queue is sorted, and the loan_id.

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


class EmptyIsMissing(BaseModel):
    """Base class of form models that treats a field with an empty string as a missing field.

    This is needed because browsers send an empty string for a field that the user left empty.
    """

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, fields: Any) -> Any:
        return {name: value for name, value in fields.items() if value != ""}


def plain_amount(value: Any) -> Any:
    """Return an amount without the commas and blanks of its thousands.

    >>> plain_amount("300,000"), plain_amount("1 250 000.50"), plain_amount("3,5")
    ('300000', '1250000.50', '3,5')
    """
    if isinstance(value, str) and re.fullmatch(r"\d{1,3}([, \u00a0]\d{3})+(\.\d*)?", value.strip()):
        return re.sub(r"[, \u00a0]", "", value.strip())
    return value


def faults_line(errors: Sequence[Any]) -> str:
    """Return one line that names each invalid field of a form and the reason.

    >>> faults_line([{"loc": ("body", "low"), "msg": "too low"}, {"loc": (), "msg": "no reason"}])
    'low: too low; no reason'
    """
    return "; ".join(
        f"{each['loc'][-1]}: {each['msg']}" if each["loc"] else each["msg"] for each in errors
    )


class AlertForm(EmptyIsMissing):
    """Form with which a person acknowledges, assigns, resolves or snoozes an alert.

    `until` is the first day on which a snoozed alert is shown again. `assignee` is who works on the
    alert. `shown` says which page has the form: that of all alerts, or that of the one alert.
    """

    action: str
    comment: OptionalComment = ""
    until: date | None = None
    assignee: Annotated[Name | None, Field()] = None
    shown: Literal["all", "one"] = "all"


class DecisionForm(EmptyIsMissing):
    """Form with a person's decision on an application."""

    decision: Literal["approve", "decline", "documents"]
    comment: OptionalComment = ""
    standard_reason: Name | None = None
    """Code of a standard reason of the contract. Without it, a comment is needed."""
    approved_up_to: Annotated[
        float | None, BeforeValidator(plain_amount), Field(gt=0, allow_inf_nan=False)
    ] = None
    scoring_run_id: Name
    """Scoring run of the score that the person saw when deciding."""
    seen: Annotated[str, Field(pattern=r"^[0-9]{0,18}$")] = ""
    """`decision_token` of the decisions that the person saw. Empty if there were none."""
    queue: OptionalComment | None = None
    """Query of the queue that the person works on. With it the next application follows."""

    @model_validator(mode="after")
    def _has_reason(self) -> Self:
        if not self.comment.strip() and self.standard_reason is None:
            raise PydanticCustomError("comment", "give the reason, it is recorded")
        return self


class BulkForm(EmptyIsMissing):
    """Form with one decision on all applications that were referred for one reason."""

    decision: Literal["approve", "decline", "documents"]
    comment: OptionalComment = ""
    standard_reason: Name | None = None
    scoring_run_id: Name
    reason: Name
    """The exclusion reason."""
    seen_loans: Annotated[int, Field(ge=1, le=10**9)]
    """How many applications the page showed."""
    queue: OptionalComment = ""
    confirm: Literal["yes"]


class UndoForm(EmptyIsMissing):
    """Form with which a person takes back the own last decision on a loan."""

    approval_id: Annotated[int, Field(ge=1, le=2**63 - 1)]
    queue: OptionalComment = ""


class ClaimForm(EmptyIsMissing):
    """Form with which a person claims an application, gives it back, or assigns it."""

    action: Literal["claim", "release", "assign"]
    assignee: Name | None = None
    """Name of a user of Airflow, to assign the application to."""
    holder: Name | None = None
    """Who had the application on the page, as `airflow:NAME`."""
    queue: OptionalComment = ""


class RollbackForm(EmptyIsMissing):
    """Form with which an Admin rolls the champions back."""

    comment: Comment
    seen: Name
    """Version of the propensity champion that the Admin saw on the page."""
    confirm: Literal["yes"]


class PromotionForm(EmptyIsMissing):
    """Form with which a person promotes a pair, or overrules the gates that refused it."""

    comment: Comment
    seen: Annotated[str, Field(max_length=200)] = ""
    """Version of the propensity champion that the person saw. Empty if there was none."""
    confirm: Literal["yes"]
    overrules: Literal["yes"] | None = None


class SignatureForm(EmptyIsMissing):
    """Form with which an Admin signs a model as its reviewer, or accepts it."""

    signed_as: Literal["review", "acceptance"]
    comment: Comment
    seen: Name
    """Hash of the propensity artifact that the page showed."""
    confirm: Literal["yes"]


class QueueQuery(EmptyIsMissing):
    """Query parameters of the queue page: the batch, the filter and the page of the queue."""

    batch: Night | None = None
    state: Literal["open", "mine", "documents", "second", "decided", "all"] = "open"
    decision: Literal["review", "refer"] | None = None
    persona: Text | None = None
    reason: Text | None = None
    low: Annotated[float | None, Field(ge=0, le=100, allow_inf_nan=False)] = None
    """Minimum of the default probability, in percent. A probability equal to `low` is shown."""
    high: Annotated[float | None, Field(ge=0, le=100, allow_inf_nan=False)] = None
    """Limit of the default probability, in percent. Only probabilities below `high` are shown."""
    loan: Name | None = None
    sort: Name = "probability"
    order: Literal["asc", "desc"] = "desc"
    after: Annotated[Text, AfterValidator(_check_place)] | None = None
    """Last row of the previous page, as `VALUE/LOAN_ID`. None for the first page."""
    done: Annotated[int | None, Field(ge=1, le=2**63 - 1)] = None
    """`approval_id` of what the person just recorded."""
    undone: Literal["yes"] | None = None
    """Whether the person just took back a decision."""
    bulk: Annotated[int | None, Field(ge=1, le=10**9)] = None
    """How many applications the person just decided at once."""

    def place(self) -> tuple[float, str] | None:
        """Return the value and the loan_id in `after`.

        Return None for the first page.
        """
        return None if self.after is None else parse_place(self.after)

    def queue_filter(self, user: str) -> QueueFilter:
        """Return the filter of the queue. Percentages are converted to probabilities.

        Args:
            user: who asks, as `airflow:NAME`.
        """
        return QueueFilter(
            decision=self.decision,
            persona=self.persona,
            reason=self.reason,
            low=None if self.low is None else self.low / 100,
            high=None if self.high is None else self.high / 100,
            state=self.state,
            user=user,
            loan=self.loan,
            sort=self.sort,
            is_ascending=self.order == "asc",
        )

    def kept(self, **changed: Any) -> str:
        """Return the query string of this queue, without the page, with changed parameters."""
        values = self.model_dump(exclude={"after", "done", "undone", "bulk"}, exclude_defaults=True)
        shown = {
            name: f"{value:g}" if isinstance(value, float) else value
            for name, value in (values | changed).items()
            if value is not None
        }
        return urlencode(shown)


def parse_queue(text: str) -> QueueQuery:
    """Return the queue that a query string names. An invalid one is the queue of the last batch."""
    try:
        return QueueQuery(**dict(parse_qsl(text)))
    except ValidationError:
        return QueueQuery()


async def form_fields(request: Request) -> dict[str, str]:
    """Return the text fields of the what-if form by name, without validation.

    No Pydantic model can validate this form, because the names of the fields depend on the
    contract. If a field is sent twice, the last value counts.
    """
    form = await request.form()
    return {name: value for name, value in form.items() if isinstance(value, str)}


FormFields = Annotated[dict[str, str], Depends(form_fields)]
