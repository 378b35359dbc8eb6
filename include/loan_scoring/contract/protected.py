"""Define the columns by whose groups fairness and performance are measured, and their bands."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

from pydantic import Discriminator, Field, Tag, field_validator

from loan_scoring.contract.columns import Column
from loan_scoring.contract.grades import BY_GRADE
from loan_scoring.contract.parts import ContractPart, first_repeated

if TYPE_CHECKING:
    from loan_scoring.contract.contract import Contract

YES_NO = ("yes", "no")
"""The groups of a boolean."""


class ProtectedColumn(ContractPart):
    """A column with groups. `bands` are the values of a number at which its groups begin."""

    column: str = Field(min_length=1)
    """The name of the column."""
    bands: Annotated[list[float], Field(min_length=1)] | None = None
    """The values of a number at which its groups begin: `[25, 45, 65]` makes under 25, 25 to under
    45, 45 to under 65, 65 and more.
    """

    @field_validator("bands")
    @classmethod
    def _in_order(cls, bands: list[float] | None) -> list[float] | None:
        if bands and not all(map(math.isfinite, bands)):
            raise ValueError("a band must begin at a number")
        if bands and any(low >= high for low, high in pairwise(bands)):
            raise ValueError("bands are out of order; sort them in ascending order, each one once")
        return bands


Protected = Annotated[
    Annotated[str, Tag("a name")] | Annotated[ProtectedColumn, Tag("a mapping")],
    Discriminator(lambda value: "a name" if isinstance(value, str) else "a mapping"),
]
"""A column with groups: its name alone, or with bands."""


def bands_by_name(listed: Sequence["Protected"]) -> dict[str, list[float] | None]:
    """Return the bands of each listed column, by name. A column without bands has None."""
    named = [ProtectedColumn(column=e) if isinstance(e, str) else e for e in listed]
    return {each.column: each.bands for each in named}


def band_names(bands: list[float]) -> list[str]:
    """Return the names of the groups that bands make, in ascending order.

    >>> band_names([25, 65.5])
    ['under 25', '25 to under 65.5', '65.5 and more']
    """
    texts = [f"{band:.15g}" for band in bands]
    between = [f"{low} to under {high}" for low, high in pairwise(texts)]
    return [f"under {texts[0]}", *between, f"{texts[-1]} and more"]


def group_order(column: Column, bands: list[float] | None) -> Sequence[str]:
    """Return the names of a column's groups, in order. An open category may have more."""
    if bands:
        return band_names(bands)
    return YES_NO if column.type == "boolean" else column.levels or []


def check_protected(contract: "Contract") -> None:
    """Check that protected columns and the groups of fairness fit the columns.

    Raises:
        ValueError: they do not. The message names the field.
    """
    names, fairness = contract.by_name, contract.promotion.fairness
    place = "promotion.fairness"
    listed = [
        *(("protected", name) for name in contract.protected_names),
        *((f"{place}.attributes", name) for name in fairness.attributes or []),
        *((f"{place}.not_a_group", each.attribute) for each in fairness.not_a_group),
    ]
    for where, name in listed:
        if name not in names:
            raise ValueError(f"{where}: no column is named '{name}'")
    repeated = first_repeated(contract.protected_names)
    if repeated is not None:
        raise ValueError(f"protected: column '{repeated}' is listed twice")
    for name, bands in contract.bands.items():
        if names[name].is_stored_only:
            raise ValueError(f"protected: {name} is stored only, so no group is compared by it")
        if name in contract.derived.features:
            raise ValueError(f"protected: {name} is a feature; name the columns that it reads")
        if bands and not names[name].is_numeric:
            raise ValueError(f"protected: {name} is not a number, so it has no bands")
    for name in fairness.attributes or []:
        if name not in contract.bands:
            raise ValueError(f"{place}.attributes: {name} is not listed under protected")
        if name not in contract.protected_groups:
            raise ValueError(
                f"{place}.attributes: {name} has no groups; give its bands under protected, "
                "such as {column: NAME, bands: [25, 45, 65]}"
            )
    for each in fairness.not_a_group:
        if each.level not in contract.groups_of(each.attribute):
            raise ValueError(
                f"{place}.not_a_group: '{each.level}' is not a level of {each.attribute}"
            )


def check_segments(contract: "Contract") -> None:
    """Check that the columns of `performance.segments` have groups.

    Raises:
        ValueError: they do not. The message names the field.
    """
    listed, place = contract.performance.segments, "performance.segments"
    repeated = first_repeated([each if isinstance(each, str) else each.column for each in listed])
    if repeated is not None:
        raise ValueError(f"{place}: column '{repeated}' is listed twice")
    for name, bands in contract.segment_bands.items():
        if name in ("persona", BY_GRADE):
            raise ValueError(f"{place}: '{name}' is a segmentation of its own; rename the column")
        column = contract.by_name.get(name)
        if column is None:
            raise ValueError(f"{place}: no column is named '{name}'")
        if not column.is_known_at_application:
            raise ValueError(f"{place}: {name} is not known at application")
        if bands and not column.is_numeric:
            raise ValueError(f"{place}: {name} is not a number, so it has no bands")
        if not bands and column.type not in ("category", "boolean"):
            raise ValueError(
                f"{place}: {name} has no groups; name a category or a boolean, or give bands, such "
                "as {column: NAME, bands: [25, 45, 65]}"
            )
