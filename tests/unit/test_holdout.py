"""A loan that is in the hold-out stays in it."""

import numpy as np
import pyarrow as pa
import pytest

from loan_scoring.contract import Contract
from loan_scoring.models.holdout import holdout_members, split_holdout


def ids(*values: object) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(list(values))])


def test_membership_does_not_depend_on_what_else_is_there(loan_default: Contract) -> None:
    some, more = ids(*range(1, 5000)), ids(*range(1, 20_000))
    before = set(np.array(some)[split_holdout(loan_default, some)[1]])
    learnt = set(np.array(more)[split_holdout(loan_default, more)[0]])
    assert before
    assert not before & learnt


def test_every_loan_is_on_one_side_and_the_share_is_the_contracts(loan_default: Contract) -> None:
    loans = ids(*range(1, 40_001))
    training, kept = split_holdout(loan_default, loans)
    assert sorted([*training, *kept]) == list(range(40_000))
    assert len(kept) / 40_000 == pytest.approx(loan_default.training.holdout_share, abs=0.01)


def test_larger_share_holds_the_smaller_and_another_seed_is_another_choice() -> None:
    loans = ids(*(f"L-{number}" for number in range(5000)))
    quarter, third, other = (
        holdout_members(loans, seed, share) for seed, share in ((1, 0.25), (1, 0.33), (2, 0.25))
    )
    assert not (quarter & ~third).any()
    assert (quarter & other).mean() == pytest.approx(0.0625, abs=0.015)


def test_membership_is_that_of_version_0_1_0() -> None:
    found = holdout_members(ids(*range(24890, 24910)), 20260105, 0.25)
    assert np.flatnonzero(found).tolist() == [0, 4, 7]
