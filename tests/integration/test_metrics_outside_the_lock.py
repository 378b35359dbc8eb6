"""Metrics are computed outside of the batch lock; what moves meanwhile is measured again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.monitoring import metrics
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.monitoring.performance import measure
from loan_scoring.monitoring.performance.restate import restate_performance
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.integration

TABLES = ("drift", "distributions", "performance", "fairness", "findings")


def everything(session: Session) -> list[list[list[Any]]]:
    return [
        database.select_read_only(session.connection, f"select t::text from {name} t order by 1")[1]
        for name in TABLES
    ]


@pytest.fixture
def scored(ready: Session, drops: Replay) -> str:
    batch_id = drops.batch_ids[0]
    ingest_batch(ready, batch_id, drops.application_files[batch_id])
    score_batch(ready, batch_id)
    return batch_id


@pytest.fixture
def beside(ready: Session) -> Callable[[Callable[[Session], Any]], Any]:
    """Do something on a second connection."""

    def go(work: Callable[[Session], Any]) -> Any:
        with closing(database.connect_beside(ready.connection)) as connection:
            return work(Session(ready.contract, connection))

    return go


def once_after(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, work: Callable[[], Any]
) -> list[int]:
    """Do something once, after the first call of a function. Return a list with one item a call."""
    function, calls = getattr(module, name), []

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        found = function(*args, **kwargs)
        calls.append(1)
        if len(calls) == 1:
            work()
        return found

    monkeypatch.setattr(module, name, wrapped)
    return calls


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (metrics, "compare_columns"),
        (measure, "figures_before_outcomes"),
        (measure, "judge_outcomes"),
    ],
)
def test_nothing_is_computed_inside_the_lock(
    ready: Session,
    drops: Replay,
    scored: str,
    beside: Callable,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
) -> None:
    def lock_at_once(session: Session) -> None:
        with database.transaction(session.connection), session.connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            database.lock(session.connection, f"batch:{scored}")

    take_outcomes(ready, drops.outcome_files[0])
    calls = once_after(monkeypatch, module, name, lambda: beside(lock_at_once))
    compare_batch(ready, scored)
    assert calls


def test_outcomes_that_arrive_meanwhile_are_measured(
    ready: Session,
    drops: Replay,
    scored: str,
    beside: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def arrive() -> None:
        beside(lambda session: take_outcomes(session, drops.outcome_files[0]))

    with monkeypatch.context() as patch:
        calls = once_after(patch, measure, "read_scored_batch", arrive)
        compare_batch(ready, scored)
    assert len(calls) == 2
    _, states = database.select_read_only(
        ready.connection, "select state from performance_by_batch"
    )
    assert states == [["realised"]]
    before = everything(ready)
    assert restate_performance(ready) == []
    compare_batch(ready, scored)
    assert everything(ready) == before


def test_a_batch_that_is_scored_again_meanwhile_is_measured_as_scored_last(
    ready: Session,
    drops: Replay,
    scored: str,
    beside: Callable,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def score_again(session: Session) -> None:
        lines = drops.application_files[scored].read_text().splitlines()
        (tmp_path / "again.csv").write_text("\n".join(lines[:-1]) + "\n")
        ingest_batch(session, scored, tmp_path / "again.csv")
        score_batch(session, scored)

    with monkeypatch.context() as patch:
        once_after(patch, measure, "read_scored_batch", lambda: beside(score_again))
        assert compare_batch(ready, scored)["applications"] == 999
    for name in ("drift", "distributions", "performance"):
        _, runs = database.select_read_only(
            ready.connection, f"select distinct scoring_run_id like '%-r2-%' from {name}"
        )
        assert runs == [[True]], name
    before = everything(ready)
    compare_batch(ready, scored)
    assert everything(ready) == before


@pytest.mark.parametrize("name", ["write_figures", "write_fairness", "record_causes"])
def test_a_kill_while_writing_leaves_nothing_and_the_next_run_writes_all(
    ready: Session, drops: Replay, scored: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    take_outcomes(ready, drops.outcome_files[0])
    with monkeypatch.context() as patch:
        patch.setattr(measure, name, killed)
        with pytest.raises(KeyboardInterrupt):
            compare_batch(ready, scored)
    assert not any(everything(ready))
    compare_batch(ready, scored)
    after = everything(ready)
    assert after[0]
    assert after[2]
    compare_batch(ready, scored)
    assert everything(ready) == after


def test_measuring_at_once_ends_in_the_rows_of_one(
    ready: Session, drops: Replay, scored: str, beside: Callable
) -> None:
    take_outcomes(ready, drops.outcome_files[0])
    with ThreadPoolExecutor(3) as pool:
        works = [lambda session: compare_batch(session, scored)] * 2 + [restate_performance]
        list(pool.map(beside, works))
    before = everything(ready)
    assert before[2]
    assert restate_performance(ready) == []
    compare_batch(ready, scored)
    assert everything(ready) == before
