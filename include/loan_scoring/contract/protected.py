"""Define the bands of a protected number, by whose groups fairness is measured."""

import math
from itertools import pairwise
from typing import Annotated

from pydantic import Discriminator, Field, Tag, field_validator

from loan_scoring.contract.parts import ContractPart

YES_NO = ("yes", "no")
"""The groups of a protected boolean."""


class ProtectedColumn(ContractPart):
    """A protected column. `bands` are the values of a number at which its groups begin."""

    column: str = Field(min_length=1)
    bands: Annotated[list[float], Field(min_length=1)] | None = None

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
"""A protected column: its name alone, or with bands."""


def band_names(bands: list[float]) -> list[str]:
    """Return the names of the groups that bands make, in ascending order.

    >>> band_names([25, 65.5])
    ['under 25', '25 to under 65.5', '65.5 and more']
    """
    texts = [f"{band:.15g}" for band in bands]
    between = [f"{low} to under {high}" for low, high in pairwise(texts)]
    return [f"under {texts[0]}", *between, f"{texts[-1]} and more"]
