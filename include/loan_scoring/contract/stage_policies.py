"""Define the policies of ingest, scoring, training and promotion, with their default values."""

import re
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from loan_scoring.contract.columns import Positive, Share
from loan_scoring.contract.parts import ContractPart, left_out_if


class VolumePolicy(ContractPart):
    """Limits of a night's row count, as multiples of the median row count of earlier nights.

    The median is over the last `nights` published nights. If fewer than `min_nights` are published,
    the row count is not checked.
    """

    nights: Annotated[int, Field(ge=1, le=366)] = 14
    min_nights: Annotated[int, Field(ge=1)] = 3
    warning: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=1)]] = (0.5, 2.0)
    critical: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=1)]] = (0.2, 5.0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_nights > self.nights:
            raise ValueError(f"min_nights {self.min_nights} is above nights {self.nights}")
        if self.critical[0] > self.warning[0] or self.critical[1] < self.warning[1]:
            raise ValueError("the critical band must contain the warning band")
        return self


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
"""A day of the week on which a file is expected."""


class ManifestPolicy(ContractPart):
    """The manifest that must lie beside each landed file, and the names of its fields.

    The manifest of `NAME.csv` is `NAME.csv` followed by `ending`. A field whose name is null is not
    compared. `totals` maps a numeric column to the field with the sum of the column.
    """

    ending: Annotated[str, Field(pattern=r"^\.[A-Za-z0-9._-]+$")] = ".manifest.json"
    rows: str | None = "rows"
    sha256: str | None = "sha256"
    totals: dict[str, str] = Field(default_factory=dict)


class QuarantinePolicy(ContractPart):
    """From which number of quarantined rows on a rule raises an alert.

    - `few_rows`: so many rows of a rule, or of one unknown level, never raise an alert. Default: 5,
      because a handful of typing errors is no fault of the file.
    - `min_share`: a share of the batch below which a rule raises no alert, above its usual share.
      Default: 0.001. That is 149 of 148,670 rows, which a person can still correct by hand.
    - `nights`: number of earlier nights from which the usual share is estimated. Default: 14, so
      that each weekday is there twice.
    - `min_nights`: with fewer nights the usual share is unknown. Default: 5, because fewer nights
      do not show how much nights differ.
    - `first_nights_share`: the share above which a rule raises an alert as long as the usual share
      is unknown. Default: 0.01, because some rules usually refuse several rows of a thousand.
    """

    few_rows: Annotated[int, Field(ge=0)] = 5
    min_share: Share = 0.001
    nights: Annotated[int, Field(ge=2, le=366)] = 14
    min_nights: Annotated[int, Field(ge=2)] = 5
    first_nights_share: Share = 0.01

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_nights > self.nights:
            raise ValueError(f"min_nights {self.min_nights} is above nights {self.nights}")
        return self


PartNames = Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]], Field(min_length=1)]
"""The names of the files of a night, as in DATE-NAME.csv."""


class IngestPolicy(ContractPart):
    """The limits beyond which a landed batch is refused or raises an alert.

    `files` says whether a night has one file or several. A list has the names of the files that
    must all have landed.
    """

    max_quarantined_share: Share = 0.1
    quarantine: QuarantinePolicy = QuarantinePolicy()
    volume: VolumePolicy = VolumePolicy()
    max_days_ahead: Annotated[int, Field(ge=0, le=366)] = 0
    settled_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    files: Literal["one", "several"] | PartNames = left_out_if("one")
    manifest: ManifestPolicy | None = None
    deadline: str | None = None
    expected_on: list[Weekday] = Field(default=[*get_args(Weekday)], min_length=1)

    @field_validator("deadline", mode="before")
    @classmethod
    def _is_time(cls, value: Any) -> Any:
        # YAML reads 10:30 without quotes as the number 630, which is 10 x 60 + 30.
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
            return f"{value // 60:02d}:{value % 60:02d}"
        if isinstance(value, str) and not re.fullmatch("(?:[01][0-9]|2[0-3]):[0-5][0-9]", value):
            raise ValueError(f"'{value}' is not a time of day; write it as HH:MM, such as 06:00")
        return value


class ScoringPolicy(ContractPart):
    """How a batch is split into mini-batches. One task scores one mini-batch.

    A mini-batch has at most `mini_batch_rows` rows. If this would give more than `max_mini_batches`
    mini-batches, the batch is instead split into `max_mini_batches` larger mini-batches.
    """

    mini_batch_rows: Annotated[int, Field(ge=1)] = 20_000
    max_mini_batches: Annotated[int, Field(ge=1, le=256)] = 16


class DecisionPolicy(ContractPart):
    """The thresholds of the default probability that separate the decisions.

    The decision is `approve` if the probability is below `approve_below`. The decision is `decline`
    if the probability is `decline_from` or higher. Otherwise the decision is `review`.
    """

    approve_below: Annotated[float, Field(gt=0, lt=1)]
    decline_from: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.approve_below > self.decline_from:
            raise ValueError(
                f"approve_below {self.approve_below:g} is above decline_from "
                f"{self.decline_from:g}; it must not be"
            )
        return self


class LeakPolicy(ContractPart):
    """The limits beyond which a single feature counts as a leak of the outcome.

    docs/adr/0009 gives the reason for each default value.
    """

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
"""The names of the parameters that a contract may set, by algorithm."""

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
"""The default candidates of training, by algorithm, with the simplest algorithm first."""


class TrainingPolicy(ContractPart):
    """How models are fitted, selected and evaluated."""

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
                raise ValueError(
                    f"'{algorithm}' is not an algorithm; use one of {', '.join(PARAMETERS)}"
                )
            for name in (name for trial in trials for name in trial):
                if name not in PARAMETERS[algorithm]:
                    raise ValueError(
                        f"{algorithm} has no parameter '{name}'; "
                        f"use one of {', '.join(sorted(PARAMETERS[algorithm]))}"
                    )
        return candidates

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.calibration_slope[0] > 1 or self.calibration_slope[1] < 1:
            raise ValueError("calibration_slope must be a band around 1")
        if self.persona_counts[0] > self.persona_counts[-1]:
            raise ValueError(
                f"personas {self.personas} is out of order; give the smaller number first"
            )
        return self

    @property
    def persona_counts(self) -> tuple[int, ...]:
        """The numbers of personas that training tries, in ascending order."""
        if isinstance(self.personas, int):
            return (self.personas,)
        low, high = self.personas
        return tuple(range(low, high + 1)) or (low, high)


class NotAGroup(ContractPart):
    """A level of a protected attribute that is not compared, with the reason."""

    attribute: str
    level: str
    reason: str = Field(min_length=1)


class FairnessPolicy(ContractPart):
    """The groups of applicants that are compared, and the limit of the demographic parity ratio.

    `min_ratio` is the minimum of the demographic parity ratio, which is the lowest approval rate
    divided by the highest approval rate.
    """

    attributes: list[str] | None = None
    min_ratio: Annotated[float, Field(gt=0, le=1)] = 0.8
    min_group: Annotated[int, Field(ge=30)] = 200
    not_a_group: list[NotAGroup] = Field(default_factory=list)


class FirstModelPolicy(ContractPart):
    """What a challenger must reach where there is no champion to compare it with.

    `min_auc` is the lowest AUC on the hold-out.
    """

    min_auc: Annotated[float, Field(ge=0.5, lt=1)] = 0.6


class PromotionPolicy(ContractPart):
    """The conditions under which a challenger becomes champion, and whether a person must agree."""

    mode: Literal["auto", "hold"] = "auto"
    first_model: FirstModelPolicy = left_out_if(FirstModelPolicy())
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    calibration_slope: tuple[Positive, Positive] = (0.9, 1.1)
    fairness: FairnessPolicy = FairnessPolicy()
    answer_within_hours: Annotated[float, Field(gt=0, le=720)] = 72

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        low, high = self.calibration_slope
        if not low < 1 < high:
            raise ValueError(
                f"calibration_slope [{low:g}, {high:g}] must contain 1, a perfect slope"
            )
        return self
