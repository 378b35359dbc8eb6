"""Define the policies of ingest, scoring, training and promotion, with their default values."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from loan_scoring.contract.parts import ContractPart, Positive, later


class ScoringPolicy(ContractPart):
    """How a batch is split into mini-batches. One task scores one mini-batch.

    A mini-batch has at most `mini_batch_rows` rows. If this would give more than `max_mini_batches`
    mini-batches, the batch is instead split into `max_mini_batches` larger mini-batches.
    """

    mini_batch_rows: Annotated[int, Field(ge=1)] = 20_000
    """Rows of a mini-batch. One task scores one mini-batch."""
    max_mini_batches: Annotated[int, Field(ge=1, le=256)] = 16
    """A batch is cut into at most so many mini-batches, then larger ones."""


class DecisionPolicy(ContractPart):
    """The thresholds of the default probability that separate the decisions.

    The decision is `approve` if the probability is below `approve_below`. The decision is `decline`
    if the probability is `decline_from` or higher. Otherwise the decision is `review`.
    """

    approve_below: Annotated[float, Field(gt=0, lt=1)]
    """`approve` below this default probability."""
    decline_from: Annotated[float, Field(gt=0, lt=1)]
    """`decline` from this default probability on, `review` between."""

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
    """AUC of the column alone: out of sample by its levels, or of a number in its better direction
    if that is higher.
    """
    null_auc_limit: Annotated[float, Field(gt=0.5, le=1)] = 0.6
    """AUC of whether the column is null."""
    pure_share: Annotated[float, Field(gt=0.5, lt=1)] = 0.85
    """A level is near-pure if the lower Wilson bound of one outcome's share reaches this and 1.5
    times that outcome's share in all loans.
    """
    min_level_loans: Annotated[int, Field(ge=5)] = 30
    """Levels with fewer loans are not checked."""
    coverage_limit: Annotated[float, Field(gt=0, le=1)] = 0.05
    """The largest share of the loans with an outcome that one near-pure level may hold."""
    action: Literal["refuse", "drop"] = "refuse"
    """`refuse`: training fails with one line. `drop`: the column is not a feature this time."""
    acknowledged: dict[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    """Columns that may be above the limits: `column: reason`."""


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
    """Share of the labelled loans that no fit, choice or calibration sees. A hash of `seed` and the
    key puts a loan in, for ever.
    """
    seed: int = 20260105
    """Seed of every random draw."""
    min_loans: Annotated[int, Field(ge=100)] = 1000
    """With fewer labelled loans there is no training."""
    min_recent_loans: Annotated[int, Field(ge=100)] = 6000
    """After a change, this many loans with outcomes since then calibrate and measure the new model
    ([decision 15](adr/0015-learning-after-a-change.md)).
    """
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Folds of the stratified cross-validation."""
    candidates: dict[str, Annotated[list[dict[str, int | float]], Field(min_length=1)]] = Field(
        default=CANDIDATES, min_length=1, validate_default=True
    )
    """For each algorithm a list of parameters, each one trial; **in the order of simplicity**."""
    calibration_slope: tuple[Positive, Positive] = (0.95, 1.05)
    """If the out-of-fold slope is outside, log-odds are recalibrated."""
    resamples: Annotated[int, Field(ge=100, le=10_000)] = 300
    """Bootstrap resamples for each 95 % interval."""
    leaks: LeakPolicy = LeakPolicy()
    """The leak gate, see [below](#the-leak-gate)."""
    reject_inference: Literal["none", "reweighting", "parcelling"] = later("none")
    """What declined applicants, who have no outcome, add to the fit
    ([decision 38](adr/0038-what-training-may-learn-from.md)). `reweighting`: loans count the more,
    the less probable it is that applicants like these have an outcome. `parcelling`: declined
    applicants are learnt from with outcomes that are drawn from the model's own probability. Both
    are assumptions that no outcome can check; hold-out, calibration and gates have only loans with
    outcomes.
    """
    parcelling_factor: Annotated[float, Field(ge=1, le=10)] = later(1.0)
    """How many times as often as the model predicts declined applicants are taken to default. 1:
    declined and approved applicants who are alike in every column default alike.
    """
    personas: (
        Annotated[int, Field(ge=3, le=8)]
        | tuple[Annotated[int, Field(ge=3, le=8)], Annotated[int, Field(ge=3, le=8)]]
    ) = (3, 8)
    """Limits of the number of personas; the largest mean silhouette decides. One number fixes it.
    """

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
        if self.parcelling_factor != 1 and self.reject_inference != "parcelling":
            raise ValueError("parcelling_factor needs reject_inference: parcelling")
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


class PromotionPolicy(ContractPart):
    """The conditions under which a challenger becomes champion, and whether a person must agree."""

    mode: Literal["auto", "hold"] = "auto"
    """`auto`: the gates decide. `hold`: if all gates pass, a person decides.
    `LOAN_SCORING_PROMOTION`, `train --promote` and the DAG's param `promote` override this.
    """
    first_model: FirstModelPolicy = later(FirstModelPolicy())
    """What a pair must reach where there is no champion."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """Of the paired bootstrap's intervals of both differences."""
    calibration_slope: tuple[Positive, Positive] = (0.9, 1.1)
    """Limits of the slope of outcomes on predicted log-odds."""
    fairness: FairnessPolicy = FairnessPolicy()
    """Which groups are compared, see below."""
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
