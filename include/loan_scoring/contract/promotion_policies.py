"""Define what a challenger must show before it is promoted."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loan_scoring.contract.parts import ContractPart, Positive, later
from loan_scoring.contract.validation_policies import (
    CalibrationInTheLargePolicy,
    StabilityPolicy,
)


class NotAGroup(ContractPart):
    """A level of a protected attribute that is not compared, with the reason."""

    attribute: str
    """The protected column."""
    level: str
    """Its level that is not a group of people."""
    reason: str = Field(min_length=1)
    """Why."""


class FairnessPolicy(ContractPart):
    """The groups of applicants that are compared, and the limit of the demographic parity ratio.

    `min_ratio` is the minimum of the demographic parity ratio, which is the lowest approval rate
    divided by the highest approval rate.
    """

    attributes: list[str] | None = None
    """Columns by whose groups approval (a probability below `decision.approve_below`) is compared.
    Without it: all protected categories.
    """
    min_ratio: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Floor of the demographic parity ratio: the lowest group's approval rate over the highest."""
    min_group: Annotated[int, Field(ge=30)] = 200
    """Groups with fewer loans in the hold-out are shown but not compared."""
    not_a_group: list[NotAGroup] = Field(default_factory=list)
    """Levels that are not a group of people, each with `attribute`, `level` and `reason`; shown but
    not compared.
    """


class FirstModelPolicy(ContractPart):
    """What a challenger must reach where there is no champion to compare it with.

    `min_auc` is the lowest AUC on the hold-out.
    """

    min_auc: Annotated[float, Field(ge=0.5, lt=1)] = 0.6
    """Lowest AUC on the hold-out where there is no champion."""


class ChallengerLimits(ContractPart):
    """How far a challenger's rates may be from the champion's on the same loans.

    A limit is left if the 95 % interval of the paired difference lies beyond it.
    """

    approval_rate: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Largest difference of the approval rates."""
    mean_probability: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Largest difference of the mean probabilities of default."""


class CanaryPolicy(ContractPart):
    """A share of each night that the challenger decides before it becomes champion."""

    share: Annotated[float, Field(gt=0, le=0.5)]
    """The share of the loans, chosen by a hash of `loan_id` and the challenger's version."""
    nights: Annotated[int, Field(ge=1)] = 5
    """So many nights with a canary come before the promotion."""


class PromotionPolicy(ContractPart):
    """The conditions under which a challenger becomes champion, and whether a person must agree."""

    mode: Literal["auto", "hold"] = "auto"
    """`auto`: the gates decide. `hold`: if all gates pass, a person decides.
    `LOAN_SCORING_PROMOTION`, `train --promote` and the DAG's param `promote` override this; nothing
    overrides `LOAN_SCORING_PROMOTION=hold`.
    """
    roles: list[Annotated[str, Field(min_length=1)]] = later([])
    """Roles of Airflow whose users may answer whether to promote, beside Admin."""
    min_auc: Annotated[float, Field(ge=0.5, lt=1)] | None = later(None)
    """Lowest AUC on the hold-out of every pair. Without it: `first_model.min_auc`."""
    first_model: FirstModelPolicy = later(FirstModelPolicy())
    """What a pair must reach where there is no champion."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """Of the paired bootstrap's intervals of both differences."""
    calibration_slope: tuple[Positive, Positive] = (0.9, 1.1)
    """Limits of the slope of outcomes on predicted log-odds."""
    calibration_in_the_large: CalibrationInTheLargePolicy = later(CalibrationInTheLargePolicy())
    """How far the mean prediction may be from the observed default rate."""
    stability: StabilityPolicy = later(StabilityPolicy())
    """How much the model may change from the hold-out to the last cohorts."""
    fairness: FairnessPolicy = FairnessPolicy()
    """Which groups are compared, see below."""
    signatures: Literal["none", "review", "review_and_acceptance"] = later("none")
    """Which signatures of people a promotion needs, see [models](models.md#review-and-acceptance).
    Until they are there, the gate `signed` fails.
    """
    reasons_agree: Annotated[float, Field(ge=0, le=1)] = later(0.9)
    """Of the loans that get a reason which says that a number is too low or too high, the share
    whose probability must fall if the number is moved the other way.
    """
    shadow_nights: Annotated[int, Field(ge=0)] = later(0)
    """So many nights a challenger that passes the gates scores beside the champion, unseen by
    readers, before it is promoted. 0: it is promoted at once, as is one that was trained after a
    detected change.
    """
    shadow_runner_up: bool = later(False)
    """With the first champion, also fit the best trial of another algorithm and put it into shadow.
    Needs `shadow_nights`.
    """
    challenger_limits: ChallengerLimits = later(ChallengerLimits())
    """How far a challenger's rates may be from the champion's, in shadow and as canary."""
    canary: CanaryPolicy | None = later(None)
    """After its nights in shadow, a challenger decides a share of the loans. Needs
    `shadow_nights`.
    """
    answer_within_hours: Annotated[float, Field(gt=0, le=720)] = 72
    """How long a person has to answer; then the champion stays."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        low, high = self.calibration_slope
        if not low < 1 < high:
            raise ValueError(
                f"calibration_slope [{low:g}, {high:g}] must contain 1, a perfect slope"
            )
        return self

    @model_validator(mode="after")
    def _starts_in_shadow(self) -> Self:
        if not self.shadow_nights and (self.canary is not None or self.shadow_runner_up):
            field = "canary" if self.canary is not None else "shadow_runner_up"
            raise ValueError(f"{field} needs shadow_nights of at least 1, because it starts there")
        return self

    @property
    def auc_floor(self) -> float:
        """The lowest AUC with which a pair may be promoted."""
        return self.first_model.min_auc if self.min_auc is None else self.min_auc
