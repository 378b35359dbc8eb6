"""Requests and responses of the API on batches, drift and alerts.

Their docstrings are printed in the OpenAPI document.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from loan_scoring_web.routes.api_shapes import Shape


class Batch(BaseModel):
    """A batch with its row counts, its number of drift findings and its number of open alerts."""

    batch_id: str
    revision: int
    source: str
    received: int
    accepted: int
    quarantined: int
    scoring_run_id: str | None
    scored: int | None
    referred: int | None
    propensity_version: str | None
    drift_findings: int
    open_alerts: int
    landed_at: datetime | None
    scored_at: datetime | None


class Batches(BaseModel):
    """A page of batches, the latest first.

    `next` is the value to pass as `before` for the next page, or null if there is none.
    """

    batches: list[Batch]
    next: str | None


class DriftTest(BaseModel):
    """A drift test on one column of a batch, or on all inputs together (`feature` is `all`)."""

    kind: str
    feature: str
    test: str
    statistic: float
    p_value: float | None
    p_adjusted: float | None
    effect: float
    threshold: float
    level: Literal["stable", "attention", "drifted"]
    against: str | None
    """What the batch was compared with beside the training, or null for the training alone."""


class Drift(BaseModel):
    """Drift tests that compare a batch with the baseline of the model that scored the batch."""

    batch_id: str
    scoring_run_id: str
    propensity_version: str
    tests: list[DriftTest]


class Alert(BaseModel):
    """An alert: a problem that a person should look at."""

    alert_id: int
    batch_id: str
    last_batch_id: str
    batches: int
    severity: str
    kind: str
    subject: str
    message: str
    state: str
    changed_by: str
    changed_at: datetime
    raised_at: datetime
    comment: str | None


class Alerts(BaseModel):
    """A page of alerts, the latest first.

    `next` is the value to pass as `before` for the next page, or null if there is none.
    """

    alerts: list[Alert]
    next: int | None


class Acknowledgement(Shape):
    """Optional comment of the person who acknowledges an alert."""

    comment: str = Field("", max_length=2000, pattern=r"^[^\x00]*$")
