"""Drift asks for new models if it lasts, if the data are not bad, and not too often."""

import pytest

from loan_scoring.contract import RetrainingPolicy
from loan_scoring.monitoring.retrain_requests import (
    EarlierRequest,
    RetrainRequest,
    judge_retraining,
)

POLICY = RetrainingPolicy(drifted=2, of_last=5, cooldown_nights=7)
P, B, C = "population", "bad_data", "concept"


def nights(*causes: set[str]) -> list[tuple[str, set[str]]]:
    return [(f"2026-01-{day:02d}", each) for day, each in enumerate(causes, 5)]


def of_last(
    *causes: set[str], before: EarlierRequest | None = None, cause: str = P
) -> RetrainRequest | None:
    batches = nights(*causes)
    return judge_retraining(POLICY, cause, batches, batches[-1][0], before)


def test_a_stable_batch_asks_for_nothing() -> None:
    assert of_last({P}, {P}, set()) is None
    assert of_last({P}, {P}, {C}) is None


@pytest.mark.parametrize(
    ("causes", "is_asked"),
    [
        ([{P}], False),
        ([{P}, {P}], True),
        ([{P}, set(), set(), set(), {P}], True),
        ([{P}, set(), set(), set(), set(), {P}], False),
        ([{P, B}, set(), {P}], False),
        ([{P}, {C}, {P, C}], True),
    ],
)
def test_the_latest_and_two_of_the_last_five_ask(causes: list[set[str]], is_asked: bool) -> None:
    request = of_last(*causes)
    assert request is not None
    assert request.is_asked == is_asked


def test_bad_data_never_asks_and_the_reason_says_so() -> None:
    assert of_last({P}, {P}, {P, B}) == RetrainRequest(
        P,
        is_asked=False,
        reason="other applicants than at training, but the batch has bad data: correct its file "
        "and ingest it again",
    )
    assert of_last({B}, {B}) is None


def test_cooldown_is_counted_in_nights_and_says_since_when() -> None:
    request = of_last({P}, {P}, {P}, before=EarlierRequest("2025-12-20", "2025-12-31", 7))
    assert request is not None
    assert not request.is_asked
    assert request.reason.endswith(
        "but new models were asked for in the night of 2025-12-31, for 2025-12-20; "
        "the cooldown is 7 nights"
    )
    request = of_last({P}, {P}, {P}, before=EarlierRequest("2025-12-20", "2025-12-30", 8))
    assert request is not None
    assert request.is_asked


def test_a_backfill_never_asks() -> None:
    request = judge_retraining(POLICY, P, nights({P}, {P}, {P}), "2026-01-06", None)
    assert request is not None
    assert not request.is_asked
    assert "2026-01-07 is the last batch: a backfill never asks for new models" in request.reason


def test_each_cause_is_counted_by_itself() -> None:
    request = of_last({P}, {P, C}, {C}, cause=C)
    assert request is not None
    assert request.is_asked
    assert request.reason.endswith("in 2 of the last 3 batches: 2026-01-06, 2026-01-07")


def test_weekends_alone_ask_for_nothing_until_the_week_is_known() -> None:
    weekend = [(f"2026-01-{day:02d}", {P} if day in {10, 11} else set()) for day in range(5, 12)]
    early = judge_retraining(POLICY, P, weekend, "2026-01-11", None, least_nights=21)
    assert early is not None
    assert not early.is_asked
    assert "the usual week is known after 21 nights" in early.reason
    known = judge_retraining(POLICY, P, weekend, "2026-01-11", None, least_nights=6)
    assert known is not None
    assert known.is_asked
    lasting = judge_retraining(
        POLICY, P, [*weekend, ("2026-01-12", {P})], "2026-01-12", None, least_nights=21
    )
    assert lasting is not None
    assert lasting.is_asked
