"""Define when a landed file is whole, and beyond which limits a batch is refused or alerts."""

import re
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from loan_scoring.contract.parts import ContractPart, Share, later


class VolumePolicy(ContractPart):
    """Limits of a night's row count, as multiples of the median row count of earlier nights.

    The median is over the last `nights` published nights. If fewer than `min_nights` are published,
    the row count is not checked.
    """

    nights: Annotated[int, Field(ge=1, le=366)] = 14
    """The median is taken over this many earlier published nights."""
    min_nights: Annotated[int, Field(ge=1)] = 3
    """With fewer nights, and for the history, the volume is not checked."""
    warning: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=1)]] = (0.5, 2.0)
    """Least and most rows, as multiples of the median; outside: alert."""
    critical: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=1)]] = (0.2, 5.0)
    """The same; outside: refused."""

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
    """The manifest of `2026-02-05.csv` is `2026-02-05.csv` with this ending."""
    rows: str | None = "rows"
    """The field with the number of rows; null: it is not compared."""
    sha256: str | None = "sha256"
    """The field with the SHA-256 of the file as delivered; null: it is not compared."""
    totals: dict[str, str] = Field(default_factory=dict)
    """The field with the sum of a column over all rows, quarantined ones too, by the column's name.
    """


class QuarantinePolicy(ContractPart):
    """From which number of quarantined rows on a rule raises an alert."""

    few_rows: Annotated[int, Field(ge=0)] = 5
    """So many rows never raise an alert, because a handful of typing errors is no fault of the
    file.
    """
    min_share: Share = 0.001
    """A share that is not this much above the usual one raises no alert: 149 of 148,670 rows, which
    a person can still correct.
    """
    nights: Annotated[int, Field(ge=2, le=366)] = 14
    """Earlier published nights for the usual share: each weekday twice."""
    min_nights: Annotated[int, Field(ge=2)] = 5
    """With fewer nights the usual share is unknown, because they do not show how much nights
    differ.
    """
    first_nights_share: Share = 0.01
    """As long as the usual share is unknown, and for the history: a larger share raises an alert.
    """

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_nights > self.nights:
            raise ValueError(f"min_nights {self.min_nights} is above nights {self.nights}")
        return self


PartNames = Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]], Field(min_length=1)]
"""The names of the files of a night, as in DATE-NAME.csv."""


class IngestPolicy(ContractPart):
    """The limits beyond which a landed batch is refused or raises an alert."""

    max_quarantined_share: Share = 0.1
    """A batch with a larger share of refused rows is refused."""
    quarantine: QuarantinePolicy = QuarantinePolicy()
    """From which number of refused rows on a rule raises an alert, see
    [below](#when-quarantined-rows-raise-an-alert).
    """
    volume: VolumePolicy = VolumePolicy()
    """How many rows a night may have, see [below](#how-a-batch-is-judged)."""
    max_days_ahead: Annotated[int, Field(ge=0, le=366)] = 0
    """How many days after today, in `schedules.timezone`, a business date may lie. A later date is
    refused by every command and run.
    """
    settled_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    """A landed file is taken when it has not changed for this time, or when `NAME.csv.done` lies
    beside it.
    """
    files: Literal["one", "several"] | PartNames = later("one")
    """How many files a night has: `one`, `several`, or the list of their names, as in
    `DATE-NAME.csv`.
    """
    manifest: ManifestPolicy | None = None
    """The manifest that must lie beside each file, see [below](#whole-files)."""
    deadline: str | None = None
    """Until which local time of day a scheduled run waits for its file, such as `"06:00"`. Without
    it a run does not wait.
    """
    expected_on: list[Weekday] = Field(default=[*get_args(Weekday)], min_length=1)
    """Days of the week of the business dates that have a file. On other days a file is taken if it
    is there, and its absence is no failure.
    """

    @field_validator("deadline", mode="before")
    @classmethod
    def _is_time(cls, value: Any) -> Any:
        # YAML reads 10:30 without quotes as the number 630, which is 10 x 60 + 30.
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
            return f"{value // 60:02d}:{value % 60:02d}"
        if isinstance(value, str) and not re.fullmatch("(?:[01][0-9]|2[0-3]):[0-5][0-9]", value):
            raise ValueError(f"'{value}' is not a time of day; write it as HH:MM, such as 06:00")
        return value
