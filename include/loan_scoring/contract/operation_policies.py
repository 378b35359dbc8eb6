"""The policies of monitoring and operation, and their defaults."""

import re
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from loan_scoring.contract.columns import NAME, ContractPart, Positive, Share

AlertKind = Literal["bad_data", "population", "concept", "quality", "delivery", "failure"]
"""What an alert may be about."""


class MonitoringPolicy(ContractPart):
    """When a batch has drifted: every limit that an alert must pass."""

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
                f"psi_attention {self.psi_attention:g} is not below "
                f"psi_drifted {self.psi_drifted:g}"
            )
        return self


class RetrainingPolicy(ContractPart):
    """When drift asks for new models: so many of the last batches, and not again for so long."""

    drifted: Annotated[int, Field(ge=1)] = 2
    of_last: Annotated[int, Field(ge=1, le=100)] = 5
    cooldown_nights: Annotated[int, Field(ge=0)] = 7

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if self.drifted > self.of_last:
            raise ValueError(f"drifted {self.drifted} of_last {self.of_last} can never be")
        return self


class ServiceLevel(ContractPart):
    """What a night promises: scores within so many minutes of landing, on that share of nights."""

    scored_within_minutes: Positive = 60
    nights_on_time: Annotated[float, Field(gt=0, le=1)] = 0.99


class PerformancePolicy(ContractPart):
    """When a batch's outcomes are in, and when they say that the model is no longer what it was."""

    mature_share: Annotated[float, Field(gt=0, le=1)] = 0.9
    resamples: Annotated[int, Field(ge=100, le=10_000)] = 200
    auc_floor: Share = 0.02
    calibration_floor: Share = 0.03
    default_rate_floor: Share = 0.03
    drifted_from: Annotated[float, Field(gt=1)] = 2.0


class BusinessPolicy(ContractPart):
    """What a default costs: the column that holds the loan's amount, and the share that is lost."""

    amount: str
    loss_given_default: Annotated[float, Field(gt=0, le=1)] = 0.45


class Channel(ContractPart):
    """A way to tell people of alerts: an Airflow connection, and which alerts go through it."""

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
            raise ValueError(f"'{name}' is not a channel name: lower-case letters, digits and _")
        return name

    @field_validator("connection")
    @classmethod
    def _is_no_address(cls, connection: str) -> str:
        # What stands there instead may be a secret: it is not repeated.
        if not re.fullmatch(r"\w[\w.-]{0,199}", connection):
            raise ValueError(
                "it is the id of an Airflow connection (letters, digits, _ . -), "
                "which holds the address and its secrets"
            )
        return connection

    @model_validator(mode="after")
    def _has_recipients(self) -> Self:
        if (self.kind == "smtp") != bool(self.recipients):
            raise ValueError(
                "a channel of kind smtp needs recipients"
                if self.kind == "smtp"
                else f"recipients belong to smtp; whom a {self.kind} reaches is its connection's"
            )
        for each in self.recipients:
            if not re.fullmatch(r"[^@\s,;<>]+@[^@\s,;<>]+", each):
                raise ValueError(f"recipients: '{each}' is no e-mail address")
        return self


class Schedules(ContractPart):
    """When the DAGs run on their own, as cron expressions in one time zone."""

    timezone: str = "UTC"
    ingest: str = "0 2 * * *"
    outcomes: str = "30 1 * * *"
    train: str = "0 6 * * 0"
    maintenance: str = "0 12 * * 6"


MOST_KEEP_DAYS = 36_500
"""A century of days: what is to be kept for longer is kept for good."""


class RetentionPolicy(ContractPart):
    """How long rows of loans are kept; without it, for good (docs/adr/0023)."""

    keep_days: Annotated[int, Field(ge=1, le=MOST_KEEP_DAYS)]


class Scenario(ContractPart):
    """A drift that replay can lay on chosen nights."""

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


class ReplayPolicy(ContractPart):
    """How a labelled file is cut into history, nights and outcomes."""

    start: str = Field(default="2026-01-05", pattern=r"^\d{4}-\d{2}-\d{2}$")
    history_share: Annotated[float, Field(gt=0, lt=1)] = 0.6
    outcome_lag_nights: Annotated[int, Field(ge=1)] = 3
    generated_rows: Annotated[int, Field(ge=1000)] = 60_000
    generated_default_rate: Annotated[float, Field(gt=0, lt=1)] = 0.2
    scenarios: dict[str, Scenario] = Field(default_factory=dict)
