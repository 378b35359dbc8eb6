"""A portfolio's contract: the YAML file of its columns, roles, rules and policies, as objects.

Tables, parsing, checks, features, replay and drift tests all derive from these objects;
no other module names a column of a portfolio.
"""

import hashlib
import re
from collections import Counter
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from loan_scoring import settings
from loan_scoring.errors import ContractError

KEY = "loan_id"
"""The key column's name in every table of every portfolio."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
RESERVED = frozenset({"batch_id", "revision", "line_number"})

AlertKind = Literal["bad_data", "population", "concept", "quality", "delivery", "failure"]
"""What an alert may be about."""

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Model(BaseModel):
    """Base of the contract's parts: unknown fields are mistakes, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Margin(Model):
    """How a column is distributed in the data that the contract was written from.

    It feeds the generated portfolio only. `quantiles` are the values at 0, 5, 25, 50, 75, 95
    and 100 % of a number; `shares` the weights of a category's levels; `effect` the log-odds of
    default per standard deviation (number) or per level (category).
    """

    nulls: Share = 0.0
    quantiles: list[float] | None = Field(default=None, min_length=7, max_length=7)
    step: Positive | None = None
    shares: dict[str, Annotated[float, Field(ge=0)]] | None = None
    effect: float | dict[str, float] = 0.0

    @field_validator("quantiles")
    @classmethod
    def _in_order(cls, quantiles: list[float] | None) -> list[float] | None:
        if quantiles and sorted(quantiles) != quantiles:
            raise ValueError("quantiles are out of order; they go from the least to the greatest")
        return quantiles


class Column(Model):
    """One column of the source: what it is called, what it may hold, when it is known."""

    source: str = Field(min_length=1)
    name: str
    label: str = Field(min_length=1)
    type: Literal["integer", "number", "category", "text"]
    known: Literal["application", "pricing", "outcome"]
    unit: str | None = None
    levels: list[str] | None = Field(default=None, min_length=1)
    open_levels: bool = False
    range: tuple[float | None, float | None] | None = None
    null_tokens: list[str] = Field(default_factory=list)
    max_null_share: Share = 0.0
    critical_null_share: Share | None = None
    margin: Margin | None = None

    @field_validator("name")
    @classmethod
    def _is_identifier(cls, name: str) -> str:
        if not NAME.fullmatch(name) or name in RESERVED:
            raise ValueError(
                f"'{name}' is not a column name: lower-case letters, digits and _, at most 50, "
                f"and none of {', '.join(sorted(RESERVED))}"
            )
        return name

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.type == "category" and self.levels is None and not self.open_levels:
            raise ValueError("a category needs levels, or open_levels: true")
        if self.type in ("integer", "number") and self.levels is not None:
            raise ValueError(f"levels belong to a category; this column's type is {self.type}")
        if self.type in ("category", "text") and self.range is not None:
            raise ValueError(f"range belongs to a number; this column's type is {self.type}")
        if self.levels and len(set(self.levels)) < len(self.levels):
            raise ValueError(f"level '{_first_repeated(self.levels)}' is declared twice")
        if self.range and None not in self.range and self.range[0] > self.range[1]:  # type: ignore[operator]
            raise ValueError(f"range is out of order: {self.range[0]:g} is above {self.range[1]:g}")
        if self.critical_null_share is not None and self.critical_null_share < self.max_null_share:
            raise ValueError(
                f"critical_null_share {self.critical_null_share:g} is below "
                f"max_null_share {self.max_null_share:g}"
            )
        if self.margin is not None:
            self._margin_fits(self.margin)
        return self

    def _margin_fits(self, margin: Margin) -> None:
        if self.is_numeric:
            if margin.shares is not None or isinstance(margin.effect, dict):
                raise ValueError(
                    "margin: shares and an effect by level are for a category, not a number"
                )
            return
        if margin.quantiles is not None or (not isinstance(margin.effect, dict) and margin.effect):
            raise ValueError("margin: quantiles and one effect are for a number, not a category")
        told = [*(margin.shares or {}), *(margin.effect if isinstance(margin.effect, dict) else {})]
        strange = sorted(set(told) - set(margin.shares or self.levels or told))
        if strange:
            raise ValueError(f"margin: '{strange[0]}' has an effect and no share")

    @property
    def is_numeric(self) -> bool:
        """Whether the column holds numbers."""
        return self.type in ("integer", "number")

    @property
    def null_share_limit(self) -> float:
        """The share of nulls that refuses a batch; unset, halfway from the usual one to all."""
        if self.critical_null_share is not None:
            return self.critical_null_share
        return (1 + self.max_null_share) / 2

    @property
    def is_known_at_application(self) -> bool:
        """Whether the column is known when the score is wanted."""
        return self.known == "application"


class Target(Model):
    """The column of a labelled file that says whether a loan defaulted."""

    source: str = Field(min_length=1)
    label: str = "Loan defaulted"
    positive: list[str] = Field(min_length=1)
    negative: list[str] = Field(min_length=1)

    @model_validator(mode="after")
    def _values_differ(self) -> Self:
        both = set(self.positive) & set(self.negative)
        if both:
            raise ValueError(f"value '{min(both)}' stands in both positive and negative")
        return self


class Source(Model):
    """Where the portfolio's labelled data is published, and how its files are written."""

    url: str | None = None
    encoding: Literal["utf-8", "latin-1"] = "utf-8"


class Exclusion(Model):
    """An application that no model should judge: it is referred, with this reason."""

    reason: str
    label: str
    column: str
    is_null: bool = False
    equals: str | None = None

    @field_validator("reason")
    @classmethod
    def _is_identifier(cls, reason: str) -> str:
        if not NAME.fullmatch(reason):
            raise ValueError(f"'{reason}' is not a reason code: lower-case letters, digits and _")
        return reason

    @model_validator(mode="after")
    def _has_one_condition(self) -> Self:
        if self.is_null == (self.equals is not None):
            raise ValueError("an exclusion has either is_null: true or equals: LEVEL")
        return self


class Ratio(Model):
    """A column that is computed from two others: scale x numerator / denominator."""

    name: str
    column: str
    numerator: str
    denominator: str
    scale: float = 1.0
    tolerance: Positive


class VolumePolicy(Model):
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


class IngestPolicy(Model):
    """When a landed batch is refused as a whole, and when it alerts."""

    max_quarantined_share: Share = 0.1
    volume: VolumePolicy = VolumePolicy()


class ScoringPolicy(Model):
    """How a batch is cut into mini-batches, each scored by one task."""

    mini_batch_rows: Annotated[int, Field(ge=1)] = 20_000
    max_mini_batches: Annotated[int, Field(ge=1, le=256)] = 16


class DecisionPolicy(Model):
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


class LeakPolicy(Model):
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


class TrainingPolicy(Model):
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


class NotAGroup(Model):
    """A level of a protected attribute that names no group of people to be compared."""

    attribute: str
    level: str
    reason: str = Field(min_length=1)


class FairnessPolicy(Model):
    """The floor under the approval rates of groups, and which groups are compared."""

    attributes: list[str] | None = None
    min_ratio: Annotated[float, Field(gt=0, le=1)] = 0.8
    min_group: Annotated[int, Field(ge=30)] = 200
    not_a_group: list[NotAGroup] = Field(default_factory=list)


class PromotionPolicy(Model):
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


class MonitoringPolicy(Model):
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


class RetrainingPolicy(Model):
    """When drift asks for new models: so many of the last batches, and not again for so long."""

    drifted: Annotated[int, Field(ge=1)] = 2
    of_last: Annotated[int, Field(ge=1, le=100)] = 5
    cooldown_nights: Annotated[int, Field(ge=0)] = 7

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if self.drifted > self.of_last:
            raise ValueError(f"drifted {self.drifted} of_last {self.of_last} can never be")
        return self


class ServiceLevel(Model):
    """What a night promises: scores within so many minutes of landing, on that share of nights."""

    scored_within_minutes: Positive = 60
    nights_on_time: Annotated[float, Field(gt=0, le=1)] = 0.99


class PerformancePolicy(Model):
    """When a batch's outcomes are in, and when they say that the model is no longer what it was."""

    mature_share: Annotated[float, Field(gt=0, le=1)] = 0.9
    resamples: Annotated[int, Field(ge=100, le=10_000)] = 200
    auc_floor: Share = 0.02
    calibration_floor: Share = 0.03
    default_rate_floor: Share = 0.03
    drifted_from: Annotated[float, Field(gt=1)] = 2.0


class BusinessPolicy(Model):
    """What a default costs: the column that holds the loan's amount, and the share that is lost."""

    amount: str
    loss_given_default: Annotated[float, Field(gt=0, le=1)] = 0.45


class Channel(Model):
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


class Schedules(Model):
    """When the DAGs run on their own, as cron expressions in one time zone."""

    timezone: str = "UTC"
    ingest: str = "0 2 * * *"
    outcomes: str = "30 1 * * *"
    train: str = "0 6 * * 0"
    maintenance: str = "0 12 * * 6"


class RetentionPolicy(Model):
    """How long rows of loans are kept; without it, for good (docs/adr/0023)."""

    keep_days: Annotated[int, Field(ge=1)]


class Scenario(Model):
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


class ReplayPolicy(Model):
    """How a labelled file is cut into history, nights and outcomes."""

    start: str = Field(default="2026-01-05", pattern=r"^\d{4}-\d{2}-\d{2}$")
    history_share: Annotated[float, Field(gt=0, lt=1)] = 0.6
    outcome_lag_nights: Annotated[int, Field(ge=1)] = 3
    generated_rows: Annotated[int, Field(ge=1000)] = 60_000
    generated_default_rate: Annotated[float, Field(gt=0, lt=1)] = 0.2
    scenarios: dict[str, Scenario] = Field(default_factory=dict)


class Contract(Model):
    """Everything that loan-scoring knows of a portfolio."""

    portfolio: str
    title: str
    owner: str
    source: Source = Source()
    columns: list[Column] = Field(min_length=2)
    target: Target
    protected: list[str] = Field(default_factory=list)
    exclusions: list[Exclusion] = Field(default_factory=list)
    ratios: list[Ratio] = Field(default_factory=list)
    ingest: IngestPolicy = IngestPolicy()
    scoring: ScoringPolicy = ScoringPolicy()
    decision: DecisionPolicy
    training: TrainingPolicy = TrainingPolicy()
    promotion: PromotionPolicy = PromotionPolicy()
    monitoring: MonitoringPolicy = MonitoringPolicy()
    retraining: RetrainingPolicy = RetrainingPolicy()
    service_level: ServiceLevel = ServiceLevel()
    performance: PerformancePolicy = PerformancePolicy()
    business: BusinessPolicy | None = None
    retention: RetentionPolicy | None = None
    notifications: list[Channel] = Field(default_factory=list)
    schedules: Schedules = Schedules()
    replay: ReplayPolicy = ReplayPolicy()

    @field_validator("portfolio")
    @classmethod
    def _is_identifier(cls, portfolio: str) -> str:
        if not NAME.fullmatch(portfolio):
            raise ValueError(
                f"'{portfolio}' is not a portfolio name: lower-case letters, digits and _"
            )
        if portfolio == "mlflow":
            raise ValueError("'mlflow' is MLflow's own schema")
        return portfolio

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        for field in ("name", "source"):
            repeated = _first_repeated([getattr(c, field) for c in self.columns])
            if repeated is not None:
                raise ValueError(f"columns: {field} '{repeated}' is declared twice")
        names = {c.name: c for c in self.columns}
        if KEY not in names:
            raise ValueError(f"columns: no column is named {KEY}, the key of every table")
        if names[KEY].type not in ("integer", "text"):
            raise ValueError(f"columns.{KEY}.type: the key is integer or text")
        for column in self.columns:
            if column.type == "text" and column.name != KEY:
                raise ValueError(
                    f"columns.{column.name}.type: text is for the key; "
                    "use category with open_levels: true"
                )
            if column.source == self.target.source:
                raise ValueError(f"columns.{column.name}: the target is declared under target")
        for name in self.protected:
            _need(names, name, "protected")
        twice = _first_repeated([channel.name for channel in self.notifications])
        if twice is not None:
            raise ValueError(f"notifications: name '{twice}' is declared twice")
        self._fairness_hangs_together(names)
        for place, exclusion in enumerate(self.exclusions):
            column = _need(names, exclusion.column, f"exclusions.{place}.column")
            if not column.is_known_at_application:
                raise ValueError(
                    f"exclusions.{place}.column: {column.name} is not known at application"
                )
            if exclusion.equals is not None and exclusion.equals not in (column.levels or []):
                raise ValueError(
                    f"exclusions.{place}.equals: '{exclusion.equals}' is no level of {column.name}"
                )
        if self.business is not None:
            amount = _need(names, self.business.amount, "business.amount")
            if not amount.is_numeric or not amount.is_known_at_application:
                raise ValueError(
                    f"business.amount: {amount.name} is no number that is known at application"
                )
        for name in self.training.leaks.acknowledged:
            _need(names, name, "training.leaks.acknowledged")
        for place, ratio in enumerate(self.ratios):
            for field in ("column", "numerator", "denominator"):
                _need(names, getattr(ratio, field), f"ratios.{place}.{field}")
        for name, scenario in self.replay.scenarios.items():
            if scenario.column is not None:
                _need(names, scenario.column, f"replay.scenarios.{name}.column")
        return self

    def _fairness_hangs_together(self, names: dict[str, Column]) -> None:
        fairness, place = self.promotion.fairness, "promotion.fairness"
        for name in fairness.attributes or []:
            if _need(names, name, f"{place}.attributes").type != "category":
                raise ValueError(f"{place}.attributes: {name} is no category: it has no groups")
            if name not in self.protected:
                raise ValueError(f"{place}.attributes: {name} is not under protected")
        for each in fairness.not_a_group:
            column = _need(names, each.attribute, f"{place}.not_a_group")
            if each.level not in (column.levels or []):
                raise ValueError(
                    f"{place}.not_a_group: '{each.level}' is no level of {each.attribute}"
                )

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The columns by our name, in the contract's order."""
        return {column.name: column for column in self.columns}

    @property
    def key(self) -> Column:
        """The key's column."""
        return self.by_name[KEY]

    @property
    def inputs(self) -> list[Column]:
        """The columns of an application without the key."""
        return [column for column in self.columns if column.name != KEY]

    @property
    def monitored(self) -> list[Column]:
        """The columns whose drift is watched: inputs that are known at application."""
        return [column for column in self.inputs if column.is_known_at_application]

    @property
    def fairness_attributes(self) -> list[str]:
        """The columns by whose groups approval is compared; unset, all protected categories."""
        chosen = self.promotion.fairness.attributes
        if chosen is not None:
            return chosen
        return [name for name in self.protected if self.by_name[name].type == "category"]

    @property
    def features(self) -> list[Column]:
        """The columns that a model may see: known at application, not protected."""
        return [column for column in self.monitored if column.name not in self.protected]


def row_rules_sha256(contract: Contract) -> str:
    """Return the hash of all that decides what a file's rows become: two alike read them alike."""
    read_by = {"source", "name", "type", "levels", "open_levels", "range", "null_tokens"}
    fields: dict[str, Any] = {
        "source": {"encoding"},
        "columns": {"__all__": read_by},
        "ratios": True,
    }
    return hashlib.sha256(contract.model_dump_json(include=fields).encode()).hexdigest()


def load(portfolio: str) -> Contract:
    """Read the contract of a portfolio by its name.

    Raises:
        ContractError: no such file, or a mistake in it; the text names file, field and reason.
    """
    path = settings.portfolios_dir() / f"{portfolio}.yaml"
    if not path.is_file():
        known = ", ".join(names()) or "none"
        raise ContractError(f"no contract {path}; portfolios there: {known}")
    return read(path)


def names() -> list[str]:
    """Return the names of all portfolios that have a contract, sorted."""
    return sorted(path.stem for path in settings.portfolios_dir().glob("*.yaml"))


def read(path: Path) -> Contract:
    """Read one contract file.

    Raises:
        ContractError: unreadable YAML or a mistake; the text names file, field and reason.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ContractError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise ContractError(
            f"{path}: a contract is a mapping of fields, found {type(raw).__name__}"
        )
    try:
        contract = Contract.model_validate(raw)
    except ValidationError as error:
        raise ContractError(f"{path}: {_one_line(error, raw)}") from error
    if contract.portfolio != path.stem:
        raise ContractError(
            f"{path}: portfolio: '{contract.portfolio}' must be the file's name, '{path.stem}'"
        )
    return contract


def _one_line(error: ValidationError, raw: dict[str, Any]) -> str:
    """Say the first mistake as `field: reason`, with list places told by the column's name."""
    errors = error.errors(include_url=False)
    # A misspelt field is also a missing one: the misspelling is what the writer must see.
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    place: list[str] = []
    inside: Any = raw
    for step in first["loc"]:
        inside = inside[step] if _has(inside, step) else None
        named = inside.get("name") or inside.get("source") if isinstance(inside, dict) else None
        place.append(str(named) if isinstance(step, int) and named else str(step))
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        reason = "no such field"
    elif first["type"] not in ("value_error", "missing"):
        reason += f", found {first['input']!r}"
        if first["type"] == "string_type" and isinstance(first["input"], bool | int | float | date):
            reason += "; YAML reads it so: put it in quotes"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{'.'.join(place) + ': ' if place else ''}{reason}{more}"


def _has(inside: Any, step: int | str) -> bool:
    if isinstance(inside, dict):
        return step in inside
    return isinstance(inside, list) and isinstance(step, int) and step < len(inside)


def _need(names: dict[str, Column], name: str, place: str) -> Column:
    if name not in names:
        raise ValueError(f"{place}: no column is named '{name}'")
    return names[name]


def _first_repeated(values: list[str]) -> str | None:
    return next((value for value, count in Counter(values).items() if count > 1), None)
