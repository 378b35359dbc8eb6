"""Define the rating scale of a contract: grades with limits, or a number of grades to derive."""

from typing import Annotated, Any

from pydantic import Field

from loan_scoring.contract.parts import ContractPart, first_repeated

BY_GRADE = "rating_grade"
"""Name of the segmentation of a batch by grade."""
MOST_GRADES = 26
"""Derived grades are named by letters."""


class Grade(ContractPart):
    """A grade of a master scale. The first grade has the lowest probabilities."""

    grade: str = Field(min_length=1, max_length=40)
    """Its name, such as A or BB+."""
    below: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Default probabilities below this, and not below the limit of the grade before. The last grade
    has no limit.
    """


Grades = (
    Annotated[int, Field(ge=2, le=MOST_GRADES)]
    | Annotated[list[Grade], Field(min_length=2, max_length=100)]
)


def check_scale(grades: Any) -> Any:
    """Return the grades of a contract unchanged.

    Raises:
        ValueError: names repeat, a limit is missing, or limits do not increase.
    """
    if not isinstance(grades, list):
        return grades
    repeated = first_repeated([each.grade for each in grades])
    if repeated is not None:
        raise ValueError(f"grade '{repeated}' is declared twice")
    *others, last = grades
    if last.below is not None:
        raise ValueError(f"the last grade, {last.grade}, takes all that is left; leave out below")
    previous = 0.0
    for each in others:
        if each.below is None:
            raise ValueError(f"grade {each.grade} has no limit; give below")
        if each.below <= previous:
            raise ValueError(
                f"grade {each.grade} ends at {each.below:g}, which is not above {previous:g}; "
                "give grades in ascending order of their probabilities"
            )
        previous = each.below
    return grades


def grades_of(stored: Any) -> Any:
    """Return the grades of a policy that is stored as JSON: None, a number, or the grades."""
    return [Grade(**each) for each in stored] if isinstance(stored, list) else stored
