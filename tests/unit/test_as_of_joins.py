"""The join of a look-up as of a date: the last known row of the key, whatever the order of rows."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from loan_scoring.features.lookups import places_as_of

KEYS = st.sampled_from(["a", "b", "c"])
MOMENTS = st.integers(0, 6)
ROWS = st.lists(st.tuples(KEYS, MOMENTS, st.integers(1, 3)), max_size=12, unique=True)
APPLICATIONS = st.lists(st.tuples(st.none() | KEYS | st.just("d"), MOMENTS), max_size=8)


def join(
    rows: list[tuple[str, int, int]], applications: list[tuple[str | None, int]]
) -> list[tuple[str, int, int] | None]:
    places = places_as_of(
        pa.array([key for key, _ in applications], pa.string()),
        np.array([moment for _, moment in applications], dtype=np.int64),
        pa.array([key for key, _, _ in rows], pa.string()),
        np.array([moment for _, moment, _ in rows], dtype=np.int64),
        np.array([delivery for _, _, delivery in rows], dtype=np.int64),
    )
    return [None if place < 0 else rows[place] for place in places]


@given(ROWS, APPLICATIONS)
def test_each_application_gets_the_last_row_that_was_known(
    rows: list[tuple[str, int, int]], applications: list[tuple[str | None, int]]
) -> None:
    for (key, moment), found in zip(applications, join(rows, applications), strict=True):
        known = [row for row in rows if row[0] == key and row[1] <= moment]
        assert found == max(known, key=lambda row: row[1:], default=None)


@given(ROWS, ROWS, APPLICATIONS, st.randoms(use_true_random=False))
def test_rows_of_the_future_and_the_order_of_rows_change_nothing(
    rows: list[tuple[str, int, int]],
    more: list[tuple[str, int, int]],
    applications: list[tuple[str | None, int]],
    dice: object,
) -> None:
    latest = max((moment for _, moment in applications), default=0)
    future = [(key, latest + 1 + moment, delivery) for key, moment, delivery in more]
    mixed = [*rows, *future]
    dice.shuffle(mixed)  # type: ignore[attr-defined]
    assert join(mixed, applications) == join(rows, applications)
