"""Define Pydantic models, with which FastAPI validates the filters of pages over several nights."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from loan_scoring_web.forms import EmptyIsMissing, Name, Night, Text


class NightsQuery(EmptyIsMissing):
    """The nights that a page shows: the last ones, or those of a date range."""

    nights: Annotated[int, Field(ge=1, le=366)] = 30
    since: Night | None = None
    until: Night | None = None


class DriftQuery(NightsQuery):
    """Query parameters of the drift map."""

    stable: Literal["yes"] | None = None
    """Whether rows are shown that are stable on all nights."""


class ColumnQuery(NightsQuery):
    """Query parameters of the page of one compared column."""

    kind: Name
    feature: Text


class SegmentsQuery(NightsQuery):
    """Query parameters of the page of segments over nights."""

    by: Name = "persona"


class QualityQuery(EmptyIsMissing):
    """Query parameters of the expectations of a batch: revision, verdict, and a row rule."""

    revision: Annotated[int, Field(ge=1, lt=10**9)] | None = None
    state: Literal["failed", "met"] | None = None
    rule: Text = ""


class ExpectationQuery(NightsQuery):
    """Query parameters of the page of one expectation over nights."""

    expectation: Text


class TwoQuery(EmptyIsMissing):
    """Query parameters of the page of two batches side by side."""

    left: Night | None = None
    right: Night | None = None


class TimelineQuery(EmptyIsMissing):
    """Query parameters of the timeline: a part, a batch, a range of days, and the page."""

    part: Literal["batch", "scores", "drift", "alerts", "training", "models", "people"] | None = (
        None
    )
    batch: Night | None = None
    since: Night | None = None
    until: Night | None = None
    at: datetime | None = None
    """Time of the last event of the page before. None for the first page."""
    event: Text = ""
    subject: Text = ""


class BatchesQuery(EmptyIsMissing):
    """Query parameters of the list of batches: range, state and order."""

    since: Night | None = None
    until: Night | None = None
    state: Literal["on time", "late", "waiting", "refused", "withdrawn"] | None = None
    sort: Literal[
        "night", "received", "quarantined", "scored", "referred", "approved", "default", "loss",
        "columns", "alerts",
    ] = "night"  # fmt: skip
    order: Literal["up", "down"] = "down"
