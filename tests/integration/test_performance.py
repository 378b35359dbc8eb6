"""Performance is estimated at once, unknown until outcomes are in, then realised and restated."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcome_withdrawal import withdraw_outcomes
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.monitoring.performance.restate import restate_performance
from loan_scoring.monitoring.status import read_status
from loan_scoring.monitoring.status_text import render_status
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.integration

ROWS = [
    "select p::text from performance p order by 1",
    "select f::text from fairness f order by 1",
    "select d::text from drift d order by 1",
    "select a::text from alerts a order by 1",
]


def select(session: Session, query: str) -> list[list[Any]]:
    return database.select_read_only(session.connection, query)[1]


def everything(session: Session) -> list[list[list[Any]]]:
    return [select(session, query) for query in ROWS]


@pytest.fixture
def night(ready: Session, drops: Replay) -> Callable[..., str]:
    """Score and measure a night of the replay; return its batch_id."""

    def go(place: int = 0, is_measured: bool = True) -> str:
        batch_id = drops.batch_ids[place]
        ingest_batch(ready, batch_id, drops.application_files[batch_id])
        score_batch(ready, batch_id)
        if is_measured:
            compare_batch(ready, batch_id)
        return batch_id

    return go


@pytest.fixture
def take(ready: Session, drops: Replay, tmp_path: Path) -> Callable[..., None]:
    """Ingest a part of a night's outcomes, with some turned into defaults if asked."""

    def go(place: int, start: float = 0, stop: float = 1, worse: float = 0) -> None:
        header, *lines = drops.outcome_files[place].read_text().splitlines()
        chosen = lines[int(start * len(lines)) : int(stop * len(lines))]
        if worse:
            at = header.split(",").index("Status")
            dice = np.random.default_rng(1)
            told = [line.split(",") for line in chosen]
            for fields in told:
                fields[at] = "1" if dice.random() < worse else fields[at]
            chosen = [",".join(fields) for fields in told]
        path = tmp_path / f"late-{place}-{start}.csv"
        path.write_text("\n".join([header, *chosen]) + "\n")
        take_outcomes(ready, path)

    return go


def test_unknown_until_enough_outcomes_are_in(
    ready: Session, night: Callable[..., str], take: Callable[..., None]
) -> None:
    night()
    query = "select state, realised_auc, realised_loans from performance_by_batch"
    assert select(ready, query) == [["unknown", None, None]]
    take(0, 0, 0.8)
    assert restate_performance(ready) == []
    assert select(ready, query) == [["unknown", None, None]]
    assert select(ready, "select count(*) from performance where basis = 'realised'") == [[0]]
    (shown,) = read_status(ready)["performance"]
    assert 0 < shown["outcomes"] < shown["outcomes_needed"]
    counts = f"unknown ({shown['outcomes']:,} outcomes, {shown['outcomes_needed']:,} needed)"
    assert counts in render_status(read_status(ready))
    take(0, 0.8, 0.95)
    assert len(restate_performance(ready)) == 1
    ((state, first, loans),) = select(ready, query)
    assert state == "realised"
    take(0, 0.95, 1)
    assert len(restate_performance(ready)) == 1
    ((_, second, all_loans),) = select(ready, query)
    assert loans < all_loans
    assert first != second


def test_realised_is_what_outcomes_and_scores_say(
    ready: Session, night: Callable[..., str], take: Callable[..., None]
) -> None:
    night()
    take(0)
    restate_performance(ready)
    scored = select(
        ready,
        "select is_default::int, default_probability, loan_amount_usd, decision, persona"
        " from current_scores join outcomes using (loan_id)"
        " join current_applications using (loan_id) where default_probability is not null",
    )
    y, p, amount = (np.array([row[place] for row in scored], dtype=float) for place in range(3))
    ((auc, rate, loss, expected, approval),) = select(
        ready,
        "select realised_auc, realised_default_rate, realised_loss, expected_loss, approval_rate"
        " from performance_by_batch",
    )
    assert auc == pytest.approx(roc_auc_score(y, p))
    assert rate == pytest.approx(y.mean())
    assert loss == pytest.approx(0.45 * amount[y == 1].sum())
    assert expected == pytest.approx(0.45 * (p * amount).sum(), rel=0.2)  # the hold-out corrects p
    assert approval == pytest.approx(np.mean([row[3] == "approve" for row in scored]))
    personas = select(
        ready,
        "select sum(value) filter (where metric = 'loss' and basis = 'realised'),"
        " sum(loans) filter (where metric = 'approval_rate'),"
        " array_agg(segment order by segment) filter (where metric = 'approval_rate')"
        " from performance where segment <> 'all'",
    )
    assert personas == [[pytest.approx(loss), len(p), sorted({row[4] for row in scored})]]
    deciles = select(
        ready,
        "select sum(loans), bool_and(baseline is not null), bool_and(value between lower and upper)"
        " from performance where metric like 'default_rate_decile%'",
    )
    assert deciles == [[len(p), True, True]]


def test_what_is_estimated_stands_beside_the_holdout(
    ready: Session, night: Callable[..., str]
) -> None:
    night()
    rows = select(
        ready,
        "select metric, value > 0, value between lower and upper, baseline is not null"
        " from performance where basis = 'estimated' and segment = 'all' order by metric",
    )
    known = {"loss", "loss_of_approved"}
    assert rows == [
        [name, True, True, name not in known]
        for name in sorted(
            ["approval_rate", "auc", "brier", "default_rate", "f1", "gini", "ks", "log_loss",
             "loss", "loss_of_approved", "precision", "recall"]
        )
    ]  # fmt: skip


def test_measuring_again_writes_the_same_rows(
    ready: Session, night: Callable[..., str], take: Callable[..., None]
) -> None:
    batch_id = night()
    take(0)
    assert len(restate_performance(ready)) == 1
    before = everything(ready)
    assert restate_performance(ready) == []
    compare_batch(ready, batch_id)
    assert everything(ready) == before


def test_outcomes_that_came_before_the_measuring_are_used(
    ready: Session, night: Callable[..., str], take: Callable[..., None]
) -> None:
    batch_id = night(is_measured=False)
    take(0)
    compare_batch(ready, batch_id)
    before = everything(ready)
    assert select(ready, "select state from performance_by_batch") == [["realised"]]
    assert restate_performance(ready) == []
    assert everything(ready) == before


SUMS = (
    "select left(scoring_run_id, 10), test, nights, loans_over_nights, sum from outcome_sums"
    " order by 1, 2"
)


def test_late_outcomes_change_the_sums_of_later_nights(
    ready: Session, night: Callable[..., str], take: Callable[..., None]
) -> None:
    night(0)
    night(1)
    take(1, worse=0.3)
    assert [run[:10] for run in restate_performance(ready)] == ["2026-01-06"]
    alone = select(ready, SUMS)
    assert [row[:3] for row in alone] == [
        ["2026-01-06", "auc_drop", 1],
        ["2026-01-06", "default_rate", 1],
    ]
    take(0, worse=0.3)
    # Only the first night is measured again. The second night's sum follows from what is on record.
    assert [run[:10] for run in restate_performance(ready)] == ["2026-01-05"]
    after = select(ready, SUMS)
    assert [row[2] for row in after] == [1, 1, 2, 2]
    assert after[3][3] == after[1][3] + alone[1][3]
    assert restate_performance(ready) == []
    assert select(ready, SUMS) == after
    withdraw_outcomes(ready, "late-0-0", "the wrong night", "cli:tests")
    assert len(restate_performance(ready)) == 1
    assert select(ready, SUMS) == alone


def test_sum_over_nights_alarms_in_words_that_a_person_understands(
    ready: Session, night: Callable[..., str], take: Callable[..., None]
) -> None:
    for place in (0, 1):
        night(place)
        take(place, worse=0.3)
    restate_performance(ready)
    messages = [row[0] for row in select(ready, "select message from findings order by 1")]
    assert len(messages) == 2
    last = select(ready, "select message from open_alerts where kind = 'concept'")[0][0]
    assert "; over the last 2 nights " in last
    ((loans, observed, expected),) = select(
        ready,
        "select loans_over_nights, observed_over_nights, expected_over_nights from outcome_sums"
        " where test = 'default_rate' and nights = 2",
    )
    words = f"{observed:,.0f} of {loans:,} loans defaulted where {expected:,.0f} were expected"
    assert words in last


def test_only_outcomes_of_approved_loans_count(
    ready: Session, night: Callable[..., str], take: Callable[..., None], tmp_path: Path
) -> None:
    raw = ready.contract.model_dump()
    raw["outcomes"] = {"known_for": "approved"}
    session = Session(Contract.model_validate(raw), ready.connection)
    night()
    told = select(
        ready,
        "select loan_id, decision from current_scores where default_probability is not null"
        " order by 1",
    )
    approved = [loan for loan, decision in told if decision == "approve"]
    path = tmp_path / "approved.csv"
    dice = np.random.default_rng(4)
    lines = [f"{loan},{int(dice.random() < 0.1)},2026-02-01" for loan in approved]
    path.write_text("\n".join(["ID,Status,observed_on", *lines]) + "\n")
    take_outcomes(session, path)
    assert len(restate_performance(session)) == 1
    query = "select state, realised_loans from performance_by_batch"
    assert select(session, query) == [["realised", len(approved)]]
    assert select(session, "select due, known, is_settled from outcome_coverage") == [
        [len(approved), len(approved), True]
    ]
    assert restate_performance(session) == []
    # A person approves a loan: it is funded, and its outcome is not known yet.
    review = next(loan for loan, decision in told if decision == "review")
    with database.transaction(ready.connection), ready.connection.cursor() as cursor:
        cursor.execute(
            "insert into approvals (loan_id, decision, comment, decided_by, batch_id,"
            " scoring_run_id, suggestion, default_probability)"
            " select loan_id, 'approve', 'known to the branch', 'airflow:tests', batch_id,"
            " scoring_run_id, 'review', default_probability from current_scores"
            " where loan_id = %s",
            (review,),
        )
    assert len(restate_performance(session)) == 1
    assert select(session, "select due, known, is_settled from outcome_coverage") == [
        [len(approved) + 1, len(approved), False]
    ]
    assert restate_performance(session) == []
    path = tmp_path / "one.csv"
    path.write_text(f"ID,Status,observed_on\n{review},0,2026-02-01\n")
    take_outcomes(session, path)
    assert len(restate_performance(session)) == 1
    assert select(session, query) == [["realised", len(approved) + 1]]


def test_batch_is_mature_only_after_its_window(
    ready: Session, night: Callable[..., str], take: Callable[..., None]
) -> None:
    def under(**outcomes: object) -> Session:
        raw = ready.contract.model_dump()
        raw["outcomes"] = outcomes
        return Session(Contract.model_validate(raw), ready.connection)

    night()
    take(0)
    young = under(window_days=360, as_of="2026-12-30")
    assert restate_performance(young) == []
    assert select(ready, "select state from performance_by_batch") == [["unknown"]]
    old = under(window_days=360, as_of="2026-12-31")
    assert len(restate_performance(old)) == 1
    assert select(ready, "select state from performance_by_batch") == [["realised"]]
    assert restate_performance(old) == []
    assert len(restate_performance(young)) == 1
    assert select(ready, "select state from performance_by_batch") == [["unknown"]]


def test_changed_outcomes_are_measured_again_though_none_came(
    ready: Session, night: Callable[..., str], take: Callable[..., None], tmp_path: Path
) -> None:
    for place in (0, 1):
        night(place)
        take(place)
    restate_performance(ready)
    query = "select batch_id, realised_loans, realised_default_rate, realised_auc, outcomes_as_of"
    query += " from performance_by_batch order by 1"
    before = select(ready, query)
    # Two loans of the first night change places: as many loans and as many defaults as before.
    swapped = select(
        ready,
        "select distinct on (is_default) loan_id, is_default from outcomes"
        " join current_scores using (loan_id) where batch_id = '2026-01-05'"
        " and default_probability is not null order by is_default, default_probability",
    )
    path = tmp_path / "later.csv"
    lines = [f"{loan},{int(not value)},2026-02-01" for loan, value in swapped]
    path.write_text("\n".join(["ID,Status,observed_on", *lines]) + "\n")
    assert take_outcomes(ready, path).loans.changed == 2
    assert [run[:10] for run in restate_performance(ready)] == ["2026-01-05"]
    after = select(ready, query)
    assert [row[1] for row in after] == [row[1] for row in before]
    assert after[0][2] == before[0][2]
    assert after[0][3] != before[0][3]
    assert after[1][3] == before[1][3]
    assert after[0][4] > before[1][4]
    assert restate_performance(ready) == []
    take_outcomes(ready, path)  # the same bytes
    assert restate_performance(ready) == []


def test_withdrawn_outcomes_leave_the_figures_and_come_back(
    ready: Session, night: Callable[..., str], take: Callable[..., None]
) -> None:
    night()
    take(0)
    restate_performance(ready)
    rows = "select to_jsonb(p) - 'outcomes_change_id' from performance p order by 1"
    before = select(ready, rows)
    withdraw_outcomes(ready, "late-0-0", "the wrong night", "cli:tests")
    assert len(restate_performance(ready)) == 1
    assert select(ready, "select state from performance_by_batch") == [["unknown"]]
    withdraw_outcomes(ready, "late-0-0", "the right night", "cli:tests", undo=True)
    assert len(restate_performance(ready)) == 1
    assert select(ready, rows) == before
    assert restate_performance(ready) == []


def test_restating_at_once_ends_in_the_rows_of_one(
    ready: Session, night: Callable[..., str], take: Callable[..., None]
) -> None:
    night(0)
    night(1)
    take(0)
    take(1)

    def work(_: int) -> list[str]:
        with closing(database.connect_beside(ready.connection)) as connection:
            return restate_performance(Session(ready.contract, connection))

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(work, range(3)))
    assert {run for each in found for run in each} == {
        row[0] for row in select(ready, "select scoring_run_id from performance_by_batch")
    }
    before = everything(ready)
    assert restate_performance(ready) == []
    for batch_id in ("2026-01-05", "2026-01-06"):
        compare_batch(ready, batch_id)
    assert everything(ready) == before


def test_undrifted_outcomes_raise_no_alert(
    ready: Session, night: Callable[..., str], take: Callable[..., None]
) -> None:
    night()
    take(0)
    restate_performance(ready)
    assert select(ready, "select * from open_alerts") == []
    tests = select(
        ready,
        "select kind, feature, test, level from drift where kind in ('model', 'target') order by 3",
    )
    assert tests == [
        ["model", "default_probability", "auc_drop", "stable"],
        ["model", "default_probability", "auc_drop_over_nights", "stable"],
        ["target", "is_default", "default_rate", "stable"],
        ["target", "is_default", "default_rate_over_nights", "stable"],
    ]


def test_loans_that_default_more_often_are_told_in_plain_words(
    ready: Session, night: Callable[..., str], take: Callable[..., None]
) -> None:
    night()
    take(0, worse=0.3)
    restate_performance(ready)
    alerts = select(ready, "select kind, severity, message from open_alerts order by kind")
    ((kind, severity, message),) = alerts
    assert (kind, severity) == ("concept", "critical")
    assert message.startswith("Other defaults than expected of these loans: ")
    assert "The default probability: ranks these loans worse than expected (AUC 0." in message
    assert "Loan defaulted (is_default): holds for 4" in message
    assert "% were expected; 1" in message
    assert "% on the hold-out" in message
    (evidence,) = select(ready, "select evidence::text from alerts")[0]
    assert json.loads(evidence)["is_default"]["causes"] == ["default_rate"]
    levels = select(ready, "select distinct level from drift where kind in ('model', 'target')")
    assert ["drifted"] in levels


def test_alert_is_closed_where_outcomes_no_longer_show_it(
    ready: Session, night: Callable[..., str], take: Callable[..., None]
) -> None:
    batch_id = night()
    take(0, worse=0.3)
    restate_performance(ready)
    lax = ready.contract.model_dump()
    lax["performance"] |= {"auc_floor": 1, "default_correlation": 0.5}
    query = "select distinct state, changed_by from alerts"
    compare_batch(Session(Contract.model_validate(lax), ready.connection), batch_id)
    assert select(ready, query) == [["resolved", "metrics"]]
    compare_batch(ready, batch_id)
    assert select(ready, query) == [["open", "metrics"]]


def test_fairness_by_batch_and_by_outcome(
    ready: Session, night: Callable[..., str], take: Callable[..., None]
) -> None:
    raw = ready.contract.model_dump()
    raw["promotion"]["fairness"]["min_group"] = 60
    session = Session(Contract.model_validate(raw), ready.connection)
    batch_id = night(is_measured=False)
    query = (
        "select attribute, array_agg(metric order by metric), bool_and(lower <= value),"
        " bool_and(value <= upper), max(jsonb_path_query_array(groups, '$.group')::text)"
        " from fairness group by 1 order by 1"
    )
    compare_batch(session, batch_id)
    before = select(session, query)
    assert [row[0] for row in before] == ["age_band", "gender", "region"]
    assert {tuple(row[1]) for row in before} == {
        ("demographic_parity_difference", "demographic_parity_ratio")
    }
    take(0)
    restate_performance(session)
    after = select(session, query)
    assert len(after[1][1]) == 4
    assert all(row[2] and row[3] for row in after)
    (joint,) = select(
        session,
        "select each ->> 'left_out', (each ->> 'rows')::int > 60,"
        " (each ->> 'default_rate')::float > 0 from fairness, jsonb_array_elements(groups) as each"
        " where attribute = 'gender' and metric like '%ratio' and each ->> 'group' = 'Joint'",
    )
    assert joint == ["a joint application is that of two people and of no one gender", True, True]


def test_status_tells_the_last_nights(
    ready: Session, night: Callable[..., str], take: Callable[..., None]
) -> None:
    night(0)
    night(1)
    take(0)
    restate_performance(ready)
    text = render_status(read_status(ready))
    (line,) = [each for each in text.splitlines() if each.startswith("AUC of the last nights")]
    first, second = text[text.index(line) :].splitlines()[1:3]
    assert first.split()[0] == "2026-01-05"
    *_, realised, day, time = first.split()
    assert float(realised) > 0.5
    assert [[f"{day} {time}"]] == select(
        ready, "select to_char(max(changed_at), 'YYYY-MM-DD HH24:MI') from outcome_changes"
    )
    assert second.split()[0] == "2026-01-06"
    assert second.split()[-1] == "unknown"


def test_portfolio_without_amounts_tells_no_loss(
    ready: Session, night: Callable[..., str], take: Callable[..., None]
) -> None:
    raw = ready.contract.model_dump() | {"business": None}
    batch_id = night(is_measured=False)
    take(0)
    compare_batch(Session(Contract.model_validate(raw), ready.connection), batch_id)
    assert select(ready, "select count(*) from performance where metric like 'loss_o%'") == [[0]]
    assert select(ready, "select count(*) from performance where metric = 'auc'") == [[2]]
