"""Define the policies of monitoring, notifications, schedules, retention and replay."""

import re
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, field_validator, model_validator

from loan_scoring.contract.business_dates import read_date
from loan_scoring.contract.columns import NAME
from loan_scoring.contract.parts import ContractPart, Positive, Share

AlertKind = Literal[
    "bad_data", "population", "concept", "quality", "delivery", "failure", "landing"
]
"""The kinds of alert that a channel can send."""


class MonitoringPolicy(ContractPart):
    """Limits and sample sizes of the tests that compare a batch with the baseline for drift."""

    q: Annotated[float, Field(gt=0, lt=1)] = 0.001
    psi_attention: Positive = 0.1
    psi_drifted: Positive = 0.25
    ks_floor: Share = 0.03
    wasserstein_floor: Positive = 0.1
    share_floor: Share = 0.02
    unseen_floor: Share = 0.005
    jensen_shannon_floor: Share = 0.1
    domain_floor: Annotated[float, Field(ge=0, le=0.5)] = 0.02
    reconstruction_floor: Annotated[float, Field(ge=0)] = 0.1
    psi_noise_quantile: Annotated[float, Field(ge=0.5, lt=1)] = 0.99
    bins: Annotated[int, Field(ge=2, le=100)] = 10
    sample_rows: Annotated[int, Field(ge=1000, le=100_000)] = 100_000
    joint_rows: Annotated[int, Field(ge=100, le=20_000)] = 5_000

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.psi_attention >= self.psi_drifted:
            raise ValueError(
                f"psi_attention {self.psi_attention:g} must be below "
                f"psi_drifted {self.psi_drifted:g}"
            )
        return self


class RetrainingPolicy(ContractPart):
    """The conditions under which drift leads to a request for retraining.

    At least `drifted` of the last `of_last` batches, including the last batch, must show the cause
    of drift. A batch with bad data does not count. The previous request must be more than
    `cooldown_nights` nights ago.
    """

    drifted: Annotated[int, Field(ge=1)] = 2
    of_last: Annotated[int, Field(ge=1, le=100)] = 5
    cooldown_nights: Annotated[int, Field(ge=0)] = 7

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.drifted > self.of_last:
            raise ValueError(f"drifted {self.drifted} is above of_last {self.of_last}")
        return self


class ServiceLevel(ContractPart):
    """The service level of a portfolio.

    A night is on time if scores are visible at most `scored_within_minutes` minutes after the
    night's file landed. `nights_on_time` is the minimum share of nights that must be on time.
    """

    scored_within_minutes: Positive = 60
    nights_on_time: Annotated[float, Field(gt=0, le=1)] = 0.99


class PerformancePolicy(ContractPart):
    """The limits for performance: how many outcomes a batch needs, and how large drift must be."""

    mature_share: Annotated[float, Field(gt=0, le=1)] = 0.9
    resamples: Annotated[int, Field(ge=100, le=10_000)] = 200
    auc_floor: Share = 0.02
    calibration_floor: Share = 0.03
    default_rate_floor: Share = 0.03
    drifted_from: Annotated[float, Field(gt=1)] = 2.0


class BusinessPolicy(ContractPart):
    """The cost of a default, which is `loss_given_default` times the loan's amount.

    `amount` is the name of the column that contains the loan's amount.
    """

    amount: str
    loss_given_default: Annotated[float, Field(gt=0, le=1)] = 0.45


class Channel(ContractPart):
    """A notification channel: the Airflow connection that sends, and the alerts that are sent."""

    name: str
    kind: Literal["smtp", "slack", "webhook"]
    connection: str
    recipients: list[str] = Field(default_factory=list)
    least_severity: Literal["warning", "critical"] = "warning"
    alerts: list[AlertKind] = Field(default=[*get_args(AlertKind)], min_length=1)

    @field_validator("name")
    @classmethod
    def _is_identifier(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError(
                f"'{name}' is not a valid channel name: use lower-case letters, digits and _"
            )
        return name

    @field_validator("connection")
    @classmethod
    def _is_no_address(cls, connection: str) -> str:
        # The error message does not contain the value, because a user may have entered a secret.
        if not re.fullmatch(r"\w[\w.-]{0,199}", connection):
            raise ValueError(
                "give the id of an Airflow connection (letters, digits, _ . -), "
                "which holds the address and its secrets"
            )
        return connection

    @model_validator(mode="after")
    def _has_recipients(self) -> Self:
        if (self.kind == "smtp") != bool(self.recipients):
            raise ValueError(
                "a channel of kind smtp needs recipients"
                if self.kind == "smtp"
                else f"only smtp has recipients; the connection of a {self.kind} sets its own"
            )
        for each in self.recipients:
            if not re.fullmatch(r"[^@\s,;<>]+@[^@\s,;<>]+", each):
                raise ValueError(f"recipients: '{each}' is not an e-mail address")
        return self


class Schedules(ContractPart):
    """The start times of the DAGs, as cron expressions in the time zone `timezone`."""

    timezone: str = "UTC"
    ingest: str = "0 2 * * *"
    outcomes: str = "30 1 * * *"
    train: str = "0 6 * * 0"
    maintenance: str = "0 12 * * 6"

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise ValueError(
                f"'{timezone}' is not a time zone; use a name such as Europe/Berlin"
            ) from None
        return timezone

    @field_validator("ingest", "outcomes", "train", "maintenance")
    @classmethod
    def _has_ticks(cls, cron: str) -> str:
        # Imported here, because it would slow down every import of the contract.
        from croniter import CroniterError, croniter

        try:
            if len(cron.split()) != 5 and not cron.startswith("@"):
                raise CroniterError
            croniter(cron).get_next()
        except CroniterError:
            raise ValueError(
                f"'{cron}' is not a cron expression that comes true; give minute, hour, day, "
                "month and weekday, such as 0 2 * * 1-5"
            ) from None
        return cron


MOST_KEEP_DAYS = 36_500
"""Maximum of `keep_days`, about 100 years. To keep rows for longer, omit `retention`."""


class RetentionPolicy(ContractPart):
    """The minimum number of days for which rows of loans are kept (docs/adr/0023).

    Retention drops whole months of nights, and never drops rows of `history`. Without this policy,
    no rows are dropped.
    """

    keep_days: Annotated[int, Field(ge=1, le=MOST_KEEP_DAYS)]


class Scenario(ContractPart):
    """A change to the data of a night, with which replay simulates drift."""

    label: str
    kind: Literal[
        "multiply", "move_level", "blank", "new_level", "worsen_outcomes", "shuffle_outcomes"
    ]
    column: str | None = None
    factor: Positive | None = None
    share: Share | None = None
    level: str | None = None
    from_level: str | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        needs = {
            "multiply": ("column", "factor"),
            "move_level": ("column", "level", "from_level", "share"),
            "blank": ("column", "share"),
            "new_level": ("column", "level", "share"),
            "worsen_outcomes": ("share",),
            "shuffle_outcomes": ("share",),
        }[self.kind]
        for field in needs:
            if getattr(self, field) is None:
                raise ValueError(f"kind {self.kind} needs {field}")
        return self


def _calendar_date(text: str) -> str:
    if read_date(text) is None:
        raise ValueError(f"'{text}' is not a date of the calendar; write it as YYYY-MM-DD")
    return text


class ReplayPolicy(ContractPart):
    """How replay splits a labelled file into the history, nights of applications, and outcomes."""

    start: Annotated[str, AfterValidator(_calendar_date)] = "2026-01-05"
    history_share: Annotated[float, Field(gt=0, lt=1)] = 0.6
    outcome_lag_nights: Annotated[int, Field(ge=1)] = 3
    generated_rows: Annotated[int, Field(ge=1000)] = 60_000
    generated_default_rate: Annotated[float, Field(gt=0, lt=1)] = 0.2
    scenarios: dict[str, Scenario] = Field(default_factory=dict)
