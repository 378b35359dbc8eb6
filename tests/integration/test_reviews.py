"""Decisions of people are taken into approval and fairness, and held against the model."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.desk.decisions import record_decision
from loan_scoring.desk.reviews import (
    outcomes_by_kind,
    outcomes_of,
    overrides_of,
    read_reviews,
    reviews_by_person,
)
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.monitoring.performance.restate import restate_performance
from loan_scoring.scoring.batch import score_batch
from loan_scoring_web.pages.batch import read_batch_page
from loan_scoring_web.pages.overview import read_portfolio_page
from loan_scoring_web.pages.templating import render_template

pytestmark = pytest.mark.integration

ANN, BEN = "airflow:ann", "airflow:ben"
GIVEN = {
    "base": "/loan-scoring", "airflow": "", "portfolio": "loan_default", "portfolios": [],
    "user": "u", "is_operator": False, "is_admin": False,
}  # fmt: skip


def select(session: Session, query: str) -> list[list[Any]]:
    return database.select_read_only(session.connection, query)[1]


@pytest.fixture
def night(ready: Session, drops: Replay) -> str:
    batch_id = drops.batch_ids[0]
    ingest_batch(ready, batch_id, drops.application_files[batch_id])
    score_batch(ready, batch_id)
    compare_batch(ready, batch_id)
    return batch_id


@pytest.fixture
def queue(ready: Session, night: str) -> list[list[Any]]:
    """The loans that the policy left to a person, with their probabilities."""
    return select(
        ready,
        "select loan_id, decision, default_probability from current_scores"
        " where decision in ('review', 'refer') order by loan_id",
    )


@pytest.fixture
def decided(ready: Session, queue: list[list[Any]]) -> list[tuple[Any, ...]]:
    """All of the queue but five loans, decided by two people: each loan with all facts.

    Ann decides as the model says, Ben always approves.
    """
    low, high = ready.contract.decision.approve_below, ready.contract.decision.decline_from
    found = []
    for place, (loan_id, _, p) in enumerate(queue[5:]):
        said = None if p is None else "approve" if p - low < high - p else "decline"
        by, decision = (BEN, "approve") if place % 2 else (ANN, said or "decline")
        record_decision(ready, loan_id, "decline", "first thought", by)
        record_decision(ready, loan_id, decision, f"reason of {loan_id}", by)
        found.append((loan_id, p, said, by, decision))
    return found


def test_override_is_a_decision_against_the_nearer_threshold(
    ready: Session, decided: list[tuple[Any, ...]]
) -> None:
    stored = {row[0]: row[1:] for row in select(
        ready, "select loan_id, decision_of_model, override, decision, comment from reviews"
    )}  # fmt: skip
    assert len(stored) == len(decided)
    for loan_id, _, said, _, decision in decided:
        wanted = None if said is None else "none" if said == decision else "up"
        assert stored[loan_id] == [said, wanted, decision, f"reason of {loan_id}"]
    assert {each[1] for each in stored.values()} >= {"up", "none"}


def test_batch_after_review_is_that_of_decisions_in_effect(
    ready: Session, night: str, decided: list[tuple[Any, ...]]
) -> None:
    assert restate_performance(ready) != []
    assert restate_performance(ready) == []
    ((approved, declined, waiting, loans),) = select(
        ready,
        "select count(*) filter (where decision = 'approve'),"
        " count(*) filter (where decision = 'decline'),"
        " count(*) filter (where decision in ('review', 'refer')), count(*)"
        " from decisions_in_effect",
    )
    assert waiting == 5
    assert select(
        ready,
        "select approved, declined, waiting, decided_by_people, applications from reviewed_batches",
    ) == [[approved, declined, 5, len(decided), loans]]
    ((value, counted, low, high),) = select(
        ready,
        "select value, loans, lower, upper from performance"
        " where metric = 'approval_rate_in_effect'",
    )
    wilson = binomtest(approved, loans - 5).proportion_ci(method="wilson")
    assert (value, counted) == (pytest.approx(approved / (loans - 5)), loans - 5)
    assert (low, high) == (pytest.approx(wilson.low), pytest.approx(wilson.high))
    groups = select(
        ready,
        "select attribute, each ->> 'group', (each ->> 'rows')::int,"
        " (each ->> 'approval_rate')::float, (each ->> 'waiting')::int"
        " from fairness, jsonb_array_elements(groups) as each"
        " where decisions = 'in effect' and metric like '%ratio'",
    )
    assert groups
    for attribute, group, rows, rate, waits in groups:
        members = select(
            ready,
            "select d.decision from decisions_in_effect as d join current_applications"
            f" using (loan_id) where coalesce({attribute}::text, 'not stated') = '{group}'",
        )
        decisions = [row[0] for row in members]
        assert rows == decisions.count("approve") + decisions.count("decline")
        assert waits == len(decisions) - rows
        assert rate == pytest.approx(decisions.count("approve") / rows if rows else 0)


def test_a_decision_after_the_measuring_restates_the_batch_once(
    ready: Session, queue: list[list[Any]]
) -> None:
    query = "select count(*) from fairness where decisions = 'in effect'"
    assert restate_performance(ready) == []
    assert select(ready, query) == [[0]]
    record_decision(ready, queue[0][0], "approve", "known to us", ANN)
    assert len(restate_performance(ready)) == 1
    assert restate_performance(ready) == []
    record_decision(ready, queue[0][0], "decline", "a mistake", ANN)
    assert len(restate_performance(ready)) == 1
    assert restate_performance(ready) == []


def test_outcomes_of_decisions_stand_beside_what_was_expected(
    ready: Session, drops: Replay, decided: list[tuple[Any, ...]]
) -> None:
    assert outcomes_of(read_reviews(ready), np.ones(len(decided), dtype=bool)).outcomes == 0
    take_outcomes(ready, drops.outcome_files[0])
    found = read_reviews(ready, days=90)
    known = dict(select(ready, "select loan_id, is_default::int from outcomes"))
    ups = [each for each in decided if each[2] == "decline" and each[4] == "approve"]
    kinds = dict(outcomes_by_kind(found))
    shown = kinds["Approved, nearer to decline"]
    assert (shown.loans, shown.outcomes) == (len(ups), len(ups))
    observed = shown.observed
    assert observed is not None
    assert observed.value == pytest.approx(np.mean([known[each[0]] for each in ups]))
    assert shown.expected == pytest.approx(np.mean([each[1] for each in ups]), rel=0.3)
    said_decline = [each for each in decided if each[2] == "decline"]
    overrides = overrides_of(found, found.decision != "")
    assert (overrides.said_decline, overrides.down.value) == (len(said_decline), 0.0)
    assert overrides.up.value == pytest.approx(len(ups) / len(said_decline))
    ann, ben = reviews_by_person(ready.contract, found)
    assert (ann.name, ann.overrides.up.value, ann.stands_out) == (ANN, 0.0, False)
    assert (ben.name, ben.overrides.up.value, ben.stands_out) == (BEN, 1.0, False)
    assert ann.p_adjusted == ben.p_adjusted > 0.001
    assert sum(each.loans for each in kinds.values()) == len(decided)


def test_only_final_outcomes_count(
    ready: Session, drops: Replay, night: str, decided: list[tuple[Any, ...]]
) -> None:
    take_outcomes(ready, drops.outcome_files[0])

    def outcomes(**declared: Any) -> int:
        raw = ready.contract.model_dump() | {"outcomes": declared}
        session = Session(Contract.model_validate(raw), ready.connection)
        return int(np.isfinite(read_reviews(session).outcome).sum())

    approved = sum(each[4] == "approve" for each in decided)
    assert outcomes() == len(decided)
    assert outcomes(known_for="approved") == approved
    assert outcomes(window_days=30, as_of="2026-02-03") == 0
    assert outcomes(window_days=30, as_of="2026-02-04") == len(decided)


def test_names_of_reviewers_are_seen_by_admins_and_the_reviewer_alone(
    ready: Session, drops: Replay, night: str, decided: list[tuple[Any, ...]]
) -> None:
    take_outcomes(ready, drops.outcome_files[0])
    restate_performance(ready)

    def pages(persons: tuple[str, ...] | None) -> list[str]:
        return [
            render_template(
                "batch.html", **GIVEN, active="batches",
                **(read_batch_page(ready, night, persons) or {}),
            ),
            render_template(
                "overview.html", **GIVEN, active="portfolio",
                **read_portfolio_page(ready, persons),
            ),
        ]  # fmt: skip

    for persons, seen in ((None, {ANN, BEN}), ((ANN,), {ANN}), ((), set())):
        for shown in pages(persons):
            assert {name for name in (ANN, BEN) if name in shown} == seen
            assert "Decisions of people" in shown
            assert "Approved, nearer to decline" in shown
    batch, _ = pages(None)
    assert "; 5 wait." in batch
    assert "After review" in batch


def test_a_reviewer_whose_loans_default_more_stands_out(
    ready: Session, new_decisions: Callable[..., None]
) -> None:
    new_decisions("airflow:c", 300, 45)
    new_decisions("airflow:d", 300, 150)
    new_decisions("airflow:e", 300, 45)
    found = {each.name: each for each in reviews_by_person(ready.contract, read_reviews(ready))}
    assert [name for name, each in found.items() if each.stands_out] == ["airflow:d"]


@pytest.fixture
def new_decisions(ready: Session, drops: Replay, night: str) -> Callable[..., None]:
    """Insert approvals of one person on loans of the night that default as asked."""
    taken: list[int] = [0]

    def go(name: str, loans: int, defaults: int) -> None:
        with database.transaction(ready.connection), closing(ready.connection.cursor()) as cursor:
            cursor.execute(
                "insert into approvals (loan_id, decision, comment, decided_by, batch_id,"
                " scoring_run_id, suggestion, default_probability)"
                " select -%(start)s - place, 'approve', 'x', %(name)s, batch_id, scoring_run_id,"
                " 'review', 0.15 from scoring_runs, generate_series(1, %(loans)s) as place"
                " where is_current;"
                " insert into outcomes (loan_id, is_default, observed_on, drop_id, revision)"
                " select -%(start)s - place, place <= %(defaults)s, null, drop_id, revision"
                " from (select * from outcome_drops limit 1) as d,"
                " generate_series(1, %(loans)s) as place",
                {"start": taken[0], "loans": loans, "defaults": defaults, "name": name},
            )
        taken[0] += loans

    take_outcomes(ready, drops.outcome_files[0])
    return go
