"""Define the policies of monitoring, schedules and retention."""

from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from loan_scoring.contract.parts import ContractPart, Positive, Share, later
from loan_scoring.contract.protected import Protected


class MonitoringPolicy(ContractPart):
    """Limits and sample sizes of the tests that compare a batch with the baseline for drift."""

    q: Annotated[float, Field(gt=0, lt=1)] = 0.001
    """False discovery rate over the tests of a batch."""
    psi_attention: Positive = 0.1
    """From this PSI on a column is at attention: the usual band."""
    psi_drifted: Positive = 0.25
    """From this PSI on an alert is critical: the usual band. The PSI is corrected for the size of
    the batch.
    """
    ks_floor: Share = 0.03
    """Largest gap between the distribution functions of a number."""
    rank_floor: Annotated[float, Field(ge=0, le=0.5)] = later(0.02)
    """How far the chance that a loan of the batch has the higher value than one of the baseline is
    from 0.5.
    """
    wasserstein_floor: Positive = 0.1
    """Distance in standard deviations; shown, does not decide."""
    share_floor: Share = 0.02
    """Total variation of a category's shares, and difference of null shares."""
    unseen_floor: Share = 0.005
    """Share of rows with a level that training never saw."""
    jensen_shannon_floor: Share = 0.1
    """Distance of a category's shares, 0 to 1; shown, does not decide."""
    domain_floor: Annotated[float, Field(ge=0, le=0.5)] = 0.02
    """How far the domain classifier's AUC is above 0.5."""
    reconstruction_floor: Annotated[float, Field(ge=0)] = 0.1
    """Difference of mean reconstruction errors, in the baseline's standard deviations of an error.
    """
    psi_noise_quantile: Annotated[float, Field(ge=0.5, lt=1)] = 0.99
    """A PSI below this quantile of its distribution without drift is shown as stable."""
    psi_cells: Annotated[int, Field(ge=2, le=1000)] = later(20)
    """The PSI of a category has at most so many levels, the most frequent ones, and one cell for
    all others.
    """
    bins: Annotated[int, Field(ge=2, le=100)] = 10
    """Bins of a number in the baseline."""
    sample_rows: Annotated[int, Field(ge=1000, le=100_000)] = 100_000
    """Rows of the baseline that are kept."""
    joint_rows: Annotated[int, Field(ge=100, le=20_000)] = 5_000
    """Loans on each side that the joint tests read."""
    usual_nights: Annotated[int, Field(ge=21, le=366)] = later(56)
    """Last nights from which the weekday's effect and the difference between nights are estimated.
    """
    least_nights: Annotated[int, Field(ge=21, le=366)] = later(21)
    """With fewer nights, a batch is compared with the training alone."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least_nights > self.usual_nights:
            raise ValueError(
                f"least_nights {self.least_nights} is above usual_nights {self.usual_nights}"
            )
        if self.psi_attention >= self.psi_drifted:
            raise ValueError(
                f"psi_attention {self.psi_attention:g} must be below "
                f"psi_drifted {self.psi_drifted:g}"
            )
        return self


class RetrainingPolicy(ContractPart):
    """The conditions under which drift leads to a request for retraining.

    A batch with bad data does not count.
    """

    drifted: Annotated[int, Field(ge=1)] = 2
    """This many of the last batches, including the latest, must show the cause."""
    of_last: Annotated[int, Field(ge=1, le=100)] = 5
    """How many last batches are looked at."""
    cooldown_nights: Annotated[int, Field(ge=0)] = 7
    """Nights between two requests, whichever causes they have; counted from the night that was
    scored last at the first request.
    """

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.drifted > self.of_last:
            raise ValueError(f"drifted {self.drifted} is above of_last {self.of_last}")
        return self


class ServiceLevel(ContractPart):
    """The service level of a portfolio."""

    scored_within_minutes: Positive = 60
    """A night is on time if its scores are visible this many minutes after its first file landed. A
    night whose file was refused is late.
    """
    nights_on_time: Annotated[float, Field(gt=0, le=1)] = 0.99
    """The objective: the share of nights on time. The rest is the error budget."""


class PerformancePolicy(ContractPart):
    """The limits for performance: how many outcomes a batch needs, and how large drift must be."""

    mature_share: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of a batch's loans that must have an outcome before figures are realised. Only loans
    that can have one count, and whose outcome is final: see `outcomes.known_for` and
    `outcomes.window_days`.
    """
    resamples: Annotated[int, Field(ge=100, le=10_000)] = 200
    """Resamples for each 95 % interval."""
    auc_floor: Share = 0.02
    """Kind `model`: how far the AUC must be below the AUC that was expected of the same loans."""
    calibration_floor: Share = 0.03
    """Not used any more: `default_rate_floor` is for the same test. Contracts may leave it out."""
    default_rate_floor: Share = 0.03
    """Kind `target`: difference of the default rate from the rate that was expected of the same
    loans.
    """
    default_rate_relative_floor: Annotated[float, Field(gt=0, le=1)] = later(0.2)
    """The same as a share of the expected default rate, or of the expected rate of paid loans if
    that is lower. The lower floor counts.
    """
    default_correlation: Annotated[float, Field(ge=0, le=0.5)] = later(0.02)
    """How much the loans of a batch default together: the correlation of two loans in the
    one-factor model. 0 if they default independently.
    """
    nights_per_false_alarm: Annotated[float, Field(ge=10)] = later(1095.0)
    """The tests that accumulate over nights raise, without any change, one false alarm in this many
    nights; 1095 are 3 years.
    """
    drifted_from: Annotated[float, Field(gt=1)] = 2.0
    """From this many floors on, a test is `drifted` and its alert critical; from one floor on it is
    at `attention`.
    """
    segments: Annotated[list[Protected], Field(max_length=5)] = later([])
    """Columns by whose groups performance is shown too, beside the personas: categories, booleans,
    and numbers with bands, `{column: age, bands: [25, 45, 65]}`. Protected columns may be listed;
    their bands are those under `protected`.
    """

    def rate_floor(self, expected_rate: float) -> float:
        """Return the smallest difference of default rates that counts.

        The share `default_rate_relative_floor` is taken of the rarer outcome.
        """
        rarer = min(expected_rate, 1 - expected_rate)
        return min(self.default_rate_floor, self.default_rate_relative_floor * rarer)


class BusinessPolicy(ContractPart):
    """What a default costs and a paid loan earns, as shares of the loan's amount."""

    amount: str
    """The column with the loan's amount; without `business` no loss is computed."""
    loss_given_default: Annotated[float, Field(gt=0, le=1)] = 0.45
    """Share of the amount that a default loses."""
    margin: Annotated[float, Field(gt=0, le=1)] | None = later(None)
    """Share of the amount that a loan earns if it is paid. With it the cut-off analysis shows
    profits.
    """


class Schedules(ContractPart):
    """The start times of the DAGs, as cron expressions in the time zone `timezone`."""

    timezone: str = "UTC"
    """The time zone of all schedules, of business dates and of times without an offset."""
    ingest: str = "0 2 * * *"
    """Cron expression. A business date is taken by the first tick on a later local day, so each
    date is taken once; after days without a tick one tick takes several dates ([decision
    28](adr/0028-business-dates.md)).
    """
    outcomes: str = "30 1 * * *"
    """Cron expression."""
    train: str = "0 6 * * 0"
    """Cron expression."""
    maintenance: str = "0 12 * * 6"
    """Cron expression."""
    stream: str | None = later(None)
    """Cron expression. Applications arrive one by one ([streaming](streaming.md)): each tick looks
    at the open day and finishes ended ones. No files are expected. Null if there is no stream.
    """
    scans: str = later("*/15 * * * *")
    """Cron expression. Each tick reads new [scanned forms](scans.md), if the contract has
    `scan_form`.
    """

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

    @field_validator("ingest", "outcomes", "train", "maintenance", "stream", "scans")
    @classmethod
    def _has_ticks(cls, cron: str | None) -> str | None:
        if cron is None:
            return None
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
    """After how many days months of applications, scores and calls are dropped, by the DAG
    `NAME_maintenance`. See [decision 23](adr/0023-retention-by-months.md).
    """
    export_to: Annotated[str, Field(min_length=1)] | None = later(None)
    """Folder or bucket, such as `s3://lake/loans`, to which a month is written as Parquet before it
    is dropped. A month that cannot be written is not dropped.
    """
