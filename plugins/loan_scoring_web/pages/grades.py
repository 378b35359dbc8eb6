"""Test the default rates of grades in a batch, for the batch page."""

from collections.abc import Sequence
from typing import Any

from loan_scoring import database


def backtest_grades(rows: Sequence[database.Row]) -> tuple[dict[str, float], dict[str, Any] | None]:
    """Return the p-value of Jeffreys' test of each grade, and the test of all grades together.

    Expected are the mean probabilities as the calibration curve of the hold-out corrects them, as
    in all tests of outcomes. Both are empty until outcomes are known.

    Args:
        rows: rows of table `segments` by grade.
    """
    # Imported here because this module imports SciPy, which would slow the start of the server.
    from loan_scoring.models.grading import grade_row, overall_test

    found = [
        grade_row(
            {"grade": row["segment"]},
            row["outcomes"],
            round(row["default_rate"] * row["outcomes"]),
            None,
            row["expected_of_outcomes"],
        )
        for row in rows
        if row["outcomes"]
    ]
    p_values = {row["grade"]: row["p_value"] for row in found}
    return p_values, overall_test(found)["hosmer_lemeshow"] if found else None
