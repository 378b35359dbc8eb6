"""Define the policies of scoring and training, with their default values."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from loan_scoring.contract.mitigation import MitigationPolicy
from loan_scoring.contract.parts import ContractPart, Positive, later
from loan_scoring.contract.validation_policies import OutOfTimePolicy


class ScoringPolicy(ContractPart):
    """How a batch is split into mini-batches. One task scores one mini-batch.

    A mini-batch has at most `mini_batch_rows` rows. If this would give more than `max_mini_batches`
    mini-batches, the batch is instead split into `max_mini_batches` larger mini-batches.
    """

    mini_batch_rows: Annotated[int, Field(ge=1)] = 20_000
    """Rows of a mini-batch. One task scores one mini-batch."""
    max_mini_batches: Annotated[int, Field(ge=1, le=256)] = 16
    """A batch is cut into at most so many mini-batches, then larger ones."""
    engine: Literal["tasks", "spark"] = later("tasks")
    """What scores mini-batches: tasks of Airflow (the CLI: threads), or executors of
    [Spark](spark.md). LOAN_SCORING_ENGINE goes before it. The scores are equal.
    """


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
    tree_pure_share: Annotated[float, Field(gt=0.5, le=1)] = later(0.97)
    """A leaf of the benchmark tree is pure if this share of its loans has the same outcome. All
    pure leaves of one outcome may hold at most `coverage_limit` of the loans with this outcome.
    """
    acknowledged_leaves: dict[str, Annotated[str, Field(min_length=1)]] = later({})
    """Columns that may lead to pure leaves of the benchmark tree, besides those that are
    `acknowledged`: `column: reason`.
    """


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
    "scorecard": {"C", "max_bins", "min_bin_share"},
}  # fmt: skip
"""The names of the parameters that a contract may set, by algorithm."""

KEEPS_DIRECTIONS = ("hist_gradient_boosting", "xgboost", "scorecard")
"""The algorithms that keep the directions of columns.

Trials of others are left out if a feature has a direction.
"""

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


class ScorecardPolicy(ContractPart):
    """How a scorecard turns log-odds into points: score = offset + pdo / ln(2) * ln(odds of paid).

    The offset is chosen so that `base_odds` have `base_score` points (Siddiqi 2006, chapter 6).
    """

    pdo: Positive = 20.0
    """Points that double the odds of a loan to be paid."""
    base_score: float = 600.0
    """The score of a loan with the odds `base_odds`."""
    base_odds: Positive = 50.0
    """Odds of a loan to be paid: 50 paid loans for each default."""


class SearchPolicy(ContractPart):
    """A search for parameters by cross-validation, with Optuna. It needs the extra `search`."""

    minutes: Positive
    """No trial starts after so many minutes. A trial that runs is finished."""
    trials: Annotated[int, Field(ge=1, le=1000)]
    """The largest number of trials."""


class TrainingPolicy(ContractPart):
    """How models are fitted, selected and evaluated."""

    holdout_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Share of the labelled loans that no fit, choice or calibration sees. A hash of `seed` and the
    key puts a loan in, for ever, unless `holdout_days` is given.
    """
    holdout_days: Annotated[int, Field(ge=30)] | None = later(None)
    """How long a loan stays in the hold-out, in days from its own to the last cohort. Then it is
    learnt from, and never measured again. Loans of `history` without a date stay for ever
    ([decision 44](adr/0044-time-and-gates-with-intervals.md)).
    """
    out_of_time: OutOfTimePolicy | None = later(None)
    """The last cohorts are kept from every fit, and measured apart: `{share: 0.2}`, `{batches: 4}`
    or `{days: 90}` ([decision 44](adr/0044-time-and-gates-with-intervals.md)).
    """
    seed: int = 20260105
    """Seed of every random draw."""
    min_loans: Annotated[int, Field(ge=100)] = 1000
    """With fewer labelled loans there is no training."""
    max_loans: Annotated[int, Field(ge=1000)] | None = later(None)
    """The most labelled loans that a training reads. Of more, a hash of `seed` and the key draws
    about this many, the same share of defaults and of each cohort but for chance. Memory grows with
    the loans that are read ([decision 64](adr/0064-training-in-bounded-memory.md)).
    """
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
    mean_of: tuple[str, str] | None = later(None)
    """Two candidates whose mean is tried last of all, by name, such as
    `[logistic_regression-1, hist_gradient_boosting-1]`: the mean of their log-odds
    ([decision 50](adr/0050-stable-personas-and-a-shown-ceiling.md)). No forest.
    """
    search: SearchPolicy | None = later(None)
    """More candidates, found by a search in cross-validation: `{minutes: 20, trials: 40}`. It tries
    the algorithms of `candidates` ([below](#the-search)).
    """
    calibration_slope: tuple[Positive, Positive] = (0.95, 1.05)
    """If the out-of-fold slope is outside, log-odds are recalibrated."""
    resamples: Annotated[int, Field(ge=100, le=10_000)] = 300
    """Bootstrap resamples for each 95 % interval."""
    scorecard: ScorecardPolicy = later(ScorecardPolicy())
    """The points of candidate `scorecard`, see [scorecards](#scorecards)."""
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
    target_rate: Annotated[float, Field(gt=0, lt=1)] | None = later(None)
    """The long-run default rate that probabilities are calibrated to: all log-odds move by one
    number, so that the mean over the training set is this rate. Gates and tests of outcomes go by
    the rate before ([decision 45](adr/0045-grades-and-cut-offs.md)).
    """
    mitigation: MitigationPolicy | None = later(None)
    """What is tried against unequal approval, and which of it may be promoted
    ([mitigation](models.md#mitigation-of-unfairness)).
    """
    personas: (
        Annotated[int, Field(ge=3, le=8)]
        | tuple[Annotated[int, Field(ge=3, le=8)], Annotated[int, Field(ge=3, le=8)]]
    ) = (3, 8)
    """Limits of the number of personas. Stability, separation of default rates and silhouette
    decide ([decision 50](adr/0050-stable-personas-and-a-shown-ceiling.md)). One number fixes it.
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
    def _mean_is_of_candidates(self) -> Self:
        names = [
            f"{algorithm}-{number}"
            for algorithm, trials in self.candidates.items()
            if algorithm != "random_forest"  # its probability may be 0, which has no log-odds
            for number in range(1, len(trials) + 1)
        ]
        for name in self.mean_of or ():
            if name not in names:
                raise ValueError(
                    f"mean_of: '{name}' is no candidate with log-odds; "
                    f"use two of {', '.join(names) or 'none'}"
                )
        if self.mean_of and self.mean_of[0] == self.mean_of[1]:
            raise ValueError(f"mean_of: '{self.mean_of[0]}' stands twice; name two candidates")
        return self

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
