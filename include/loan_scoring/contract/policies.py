"""What is done with a portfolio: the policies of each stage, and their defaults."""

import re
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from loan_scoring.contract.columns import NAME, ContractPart, Positive, Share

AlertKind = Literal["bad_data", "population", "concept", "quality", "delivery", "failure"]
"""What an alert may be about."""


class VolumePolicy(ContractPart):
    """How many rows a night may bring, as multiples of the median of the last nights."""

    nights: Annotated[int, Field(ge=1, le=366)] = 14
    min_nights: Annotated[int, Field(ge=1)] = 3
    warning: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=1)]] = (0.5, 2.0)
    critical: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=1)]] = (0.2, 5.0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_nights > self.nights:
            raise ValueError(f"min_nights {self.min_nights} is above nights {self.nights}")
        if self.critical[0] > self.warning[0] or self.critical[1] < self.warning[1]:
            raise ValueError("the band of critical lies outside that of warning, or on it")
        return self


class IngestPolicy(ContractPart):
    """When a landed batch is refused as a whole, and when it alerts."""

    max_quarantined_share: Share = 0.1
    volume: VolumePolicy = VolumePolicy()


class ScoringPolicy(ContractPart):
    """How a batch is cut into mini-batches, each scored by one task."""

    mini_batch_rows: Annotated[int, Field(ge=1)] = 20_000
    max_mini_batches: Annotated[int, Field(ge=1, le=256)] = 16


class DecisionPolicy(ContractPart):
    """Where approve ends and decline begins, as default probabilities."""

    approve_below: Annotated[float, Field(gt=0, lt=1)]
    decline_from: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.approve_below > self.decline_from:
            raise ValueError(
                f"approve_below {self.approve_below:g} is above decline_from "
                f"{self.decline_from:g}; approve ends where review begins"
            )
        return self


class LeakPolicy(ContractPart):
    """What a column alone may give away of the outcome; why these limits: docs/adr/0009."""

    auc_limit: Annotated[float, Field(gt=0.5, le=1)] = 0.8
    null_auc_limit: Annotated[float, Field(gt=0.5, le=1)] = 0.6
    pure_share: Annotated[float, Field(gt=0.5, lt=1)] = 0.85
    min_level_loans: Annotated[int, Field(ge=5)] = 30
    coverage_limit: Annotated[float, Field(gt=0, le=1)] = 0.05
    action: Literal["refuse", "drop"] = "refuse"
    acknowledged: dict[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)


PARAMETERS = {
    "logistic_regression": {"C", "n_knots"},
    "random_forest": {"n_estimators", "min_samples_leaf", "max_features", "max_samples"},
    "hist_gradient_boosting": {
        "max_iter", "learning_rate", "max_leaf_nodes", "min_samples_leaf", "l2_regularization",
    },
    "xgboost": {
        "n_estimators", "learning_rate", "max_depth", "min_child_weight", "subsample",
        "colsample_bytree", "reg_lambda",
    },
}  # fmt: skip
"""The algorithms that training may try, and what of each a contract may set."""

CANDIDATES: dict[str, list[dict[str, float]]] = {
    "logistic_regression": [{"C": 0.1}, {"C": 1}],
    "random_forest": [{"min_samples_leaf": 20}, {"min_samples_leaf": 5}],
    "hist_gradient_boosting": [
        {"max_iter": 100, "learning_rate": 0.1},
        {"max_iter": 200, "learning_rate": 0.06},
    ],
    "xgboost": [
        {"n_estimators": 200, "max_depth": 4, "learning_rate": 0.1},
        {"n_estimators": 300, "max_depth": 6, "learning_rate": 0.05},
    ],
}
"""What is tried where the contract says nothing, the simplest first."""


class TrainingPolicy(ContractPart):
    """How models are fitted, chosen and measured: hold-out, folds, candidates, leaks, personas."""

    holdout_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    seed: int = 20260105
    min_loans: Annotated[int, Field(ge=100)] = 1000
    min_recent_loans: Annotated[int, Field(ge=100)] = 6000
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    candidates: dict[str, Annotated[list[dict[str, int | float]], Field(min_length=1)]] = Field(
        default=CANDIDATES, min_length=1, validate_default=True
    )
    calibration_slope: tuple[Positive, Positive] = (0.95, 1.05)
    resamples: Annotated[int, Field(ge=100, le=10_000)] = 300
    leaks: LeakPolicy = LeakPolicy()
    personas: (
        Annotated[int, Field(ge=3, le=8)]
        | tuple[Annotated[int, Field(ge=3, le=8)], Annotated[int, Field(ge=3, le=8)]]
    ) = (3, 8)

    @field_validator("candidates")
    @classmethod
    def _are_known(cls, candidates: dict[str, list[dict[str, int | float]]]) -> Any:
        for algorithm, trials in candidates.items():
            if algorithm not in PARAMETERS:
                raise ValueError(f"'{algorithm}' is none of {', '.join(PARAMETERS)}")
            for name in (name for trial in trials for name in trial):
                if name not in PARAMETERS[algorithm]:
                    raise ValueError(
                        f"{algorithm} has no parameter '{name}'; "
                        f"there are {', '.join(sorted(PARAMETERS[algorithm]))}"
                    )
        return candidates

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.calibration_slope[0] > 1 or self.calibration_slope[1] < 1:
            raise ValueError("calibration_slope is a band around 1")
        if self.persona_counts[0] > self.persona_counts[-1]:
            raise ValueError(f"personas {self.personas} is out of order")
        return self

    @property
    def persona_counts(self) -> tuple[int, ...]:
        """The numbers of personas to choose from, ascending."""
        if isinstance(self.personas, int):
            return (self.personas,)
        low, high = self.personas
        return tuple(range(low, high + 1)) or (low, high)


class NotAGroup(ContractPart):
    """A level of a protected attribute that names no group of people to be compared."""

    attribute: str
    level: str
    reason: str = Field(min_length=1)


class FairnessPolicy(ContractPart):
    """The floor under the approval rates of groups, and which groups are compared."""

    attributes: list[str] | None = None
    min_ratio: Annotated[float, Field(gt=0, le=1)] = 0.8
    min_group: Annotated[int, Field(ge=30)] = 200
    not_a_group: list[NotAGroup] = Field(default_factory=list)


class PromotionPolicy(ContractPart):
    """What a challenger must show to become champion, and who has the last word."""

    mode: Literal["auto", "hold"] = "auto"
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    calibration_slope: tuple[Positive, Positive] = (0.9, 1.1)
    fairness: FairnessPolicy = FairnessPolicy()
    answer_within_hours: Annotated[float, Field(gt=0, le=720)] = 72

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        low, high = self.calibration_slope
        if not low < 1 < high:
            raise ValueError(
                f"calibration_slope [{low:g}, {high:g}] has no room for 1, which is perfect"
            )
        return self


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
