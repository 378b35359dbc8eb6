"""Paired differences of two models, against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats

from loan_scoring.contract.promotion_policies import ChallengerLimits, PromotionPolicy
from loan_scoring.models.promotion.limits import limits_left
from loan_scoring.statistics.paired import beyond, paired_interval, paired_rates


def test_interval_is_that_of_a_one_sample_z_test() -> None:
    random = np.random.default_rng(1)
    first, second = random.random(400), random.random(400)
    found = paired_interval(first, second)
    sample = first - second
    low, high = stats.norm.interval(0.95, sample.mean(), stats.sem(sample))
    assert found == pytest.approx((low, high))


def test_interval_covers_the_true_difference() -> None:
    random = np.random.default_rng(2)
    truth, hits = 0.05, 0
    for _ in range(2000):
        both = random.random(300)
        own, theirs = (
            both < 0.6 + truth,
            both < 0.6,
        )  # nested, as decisions of two models nearly are
        low, high = paired_interval(own, theirs) or (0.0, 0.0)
        hits += low <= truth <= high
    assert 0.92 < hits / 2000 < 0.97


def test_limit_is_left_only_if_the_whole_interval_is_beyond() -> None:
    limits = ChallengerLimits(approval_rate=0.1, mean_probability=0.05)
    probability = np.full(200, 0.2)
    theirs = np.arange(200) < 100
    far = paired_rates(np.arange(200) < 150, theirs, probability, probability)
    assert limits_left(limits, far) == [
        "approval rate 75.0%, the champion's 50.0% on the same 200 loans: the 95 % interval of the "
        "difference, +19.0% to +31.0%, lies beyond 10.0%"
    ]
    near = paired_rates(np.arange(200) < 124, theirs, probability, probability)
    assert near.approval_interval is not None
    assert near.approval_interval[0] < 0.1 < near.approval_interval[1]
    assert limits_left(limits, near) == []
    moved = paired_rates(theirs, theirs, probability + 0.06, probability)
    assert [each.split(" 2")[0] for each in limits_left(limits, moved)] == [
        "mean probability of default"
    ]


def test_few_loans_leave_no_limit() -> None:
    one = np.array([True])
    assert paired_rates(one, ~one, np.array([0.1]), np.array([0.9])).approval_interval is None
    assert not beyond(None, 0.1)


@pytest.mark.parametrize("field", [{"canary": {"share": 0.1}}, {"shadow_runner_up": True}])
def test_what_starts_in_shadow_needs_nights_there(field: dict) -> None:
    with pytest.raises(ValueError, match=r"needs shadow_nights of at least 1"):
        PromotionPolicy(**field)
    assert PromotionPolicy(shadow_nights=1, **field)
