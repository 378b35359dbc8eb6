"""Groups of a protected column: levels, bands of a number, and yes and no."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loan_scoring.contract import Contract
from loan_scoring.contract.protected import band_names
from loan_scoring.models.groups import group_names

BANDS = [25.0, 35.0, 65.5]


@pytest.fixture(scope="module")
def banded(loan_default: Contract) -> Contract:
    protected = ["gender", {"column": "credit_score", "bands": BANDS}]
    fairness = {"promotion": {"fairness": {}}}
    return Contract.model_validate(loan_default.model_dump() | {"protected": protected, **fairness})


@given(
    values=st.lists(
        st.one_of(st.none(), st.floats(allow_nan=False), st.sampled_from(BANDS)), max_size=8
    )
)
def test_a_band_holds_its_begin_and_not_its_end(banded: Contract, values: list) -> None:
    def by_hand(value: float | None) -> str | None:
        if value is None:
            return None
        return band_names(BANDS)[sum(value >= begin for begin in BANDS)]

    found = group_names(banded, "credit_score", pa.array(values, pa.float64()))
    assert found == [by_hand(value) for value in values]


def test_integers_booleans_and_levels_have_groups(banded: Contract) -> None:
    numbers = pa.chunked_array([pa.array([24, 25, None], pa.int64()), pa.array([70], pa.int64())])
    assert group_names(banded, "credit_score", numbers) == [
        "under 25", "25 to under 35", None, "65.5 and more",
    ]  # fmt: skip
    assert group_names(banded, "gender", pa.array([True, False, None])) == ["yes", "no", None]
    assert group_names(banded, "gender", pa.array(["Male", None])) == ["Male", None]
