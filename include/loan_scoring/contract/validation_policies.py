"""Define how a model is validated over time, and the gates on calibration and stability."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from loan_scoring.contract.parts import ContractPart, Positive


class OutOfTimePolicy(ContractPart):
    """Which last cohorts no fit sees. Exactly one of the three is given.

    A cohort is the loans of one day: of `outcomes.counted_from`, or else of the batch.
    """

    share: Annotated[float, Field(gt=0, le=0.5)] | None = None
    """The last cohorts that hold at least this share of all loans."""
    batches: Annotated[int, Field(ge=1)] | None = None
    """So many last cohorts."""
    days: Annotated[int, Field(ge=1)] | None = None
    """The cohorts of so many last days, counted back from the last cohort."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(each is not None for each in (self.share, self.batches, self.days)) != 1:
            raise ValueError("out_of_time needs exactly one of share, batches and days")
        return self


class CalibrationInTheLargePolicy(ContractPart):
    """How far the mean prediction may be from the observed default rate, beyond its interval.

    The default values are half of those from which monitoring raises an alarm on outcomes, so that
    no model starts half way to an alarm.
    """

    points: Annotated[float, Field(gt=0, lt=1)] = 0.015
    """The largest difference, as a share of the loans."""
    relative: Positive = 0.1
    """The largest difference, as a share of the observed rate of the rarer outcome. The lower of
    both limits counts.
    """

    def floor(self, rate: float) -> float:
        """Return the largest difference that is accepted at an observed default rate."""
        return min(self.points, self.relative * min(rate, 1 - rate))


class StabilityPolicy(ContractPart):
    """How much a model may change from the hold-out to the last cohorts."""

    max_psi: Positive = 0.25
    """Largest PSI of the score, corrected for the numbers of loans: the usual band."""
    max_auc_drop: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """How much lower than on the hold-out the AUC on the last cohorts may be. The gate fails if the
    95 % interval of the drop lies above this.
    """
