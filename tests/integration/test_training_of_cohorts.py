"""Training reads loans whose outcomes are final, and compares nights with all applicants."""

import csv
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from psycopg2 import sql

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.cohorts import is_over, read_cohorts
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import StateError
from loan_scoring.features.applications import read_derived
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay, replay_loans
from loan_scoring.models import registry
from loan_scoring.models.training.rows import freeze_rows, load_rows, write_rows
from loan_scoring.models.training.run import train
from loan_scoring.models.waiting import waiting_model
from loan_scoring.statistics.intervals import wilson

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"


def under(session: Session, **parts: dict[str, Any]) -> Session:
    raw = session.contract.model_dump()
    return Session(
        Contract.model_validate(raw | {n: raw.get(n, {}) | p for n, p in parts.items()}),
        session.connection,
    )


def take(session: Session, outcomes: str | Path, folder: Path, paid: float) -> None:
    """Take the outcomes of a night in: all defaults, but only a share of the paid loans."""
    target = session.contract.target
    with Path(outcomes).open(newline="") as file:
        rows = list(csv.DictReader(file))
    dice = np.random.default_rng(1)
    kept = [r for r in rows if r[target.source] in target.positive or dice.random() < paid]
    path = folder / Path(outcomes).name
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(kept)
    assert take_outcomes(session, path).accepted == len(kept)


def forget(session: Session, condition: str) -> None:
    """Take outcomes away, as if nobody had sent them."""
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute(
            f"delete from outcomes as o using current_applications as a"
            f" where a.loan_id = o.loan_id and {condition}"
        )


def test_night_with_all_defaults_but_few_paid_loans_is_left_out(
    scored: Session, drops: Replay, tmp_path: Path
) -> None:
    before = freeze_rows(scored)
    take(scored, drops.outcome_files[0], tmp_path, paid=0.4)
    frozen = freeze_rows(scored)
    assert frozen.fingerprint == before.fingerprint
    assert [each["batch_id"] for each in frozen.batches] == ["history"]
    left_out = frozen.cohorts["left_out"]
    with database.transaction(scored.connection):
        (night,) = (each for each in read_cohorts(scored).every if each.batch_id == NIGHT)
    assert left_out["loans"] == night.labelled == night.funded_labelled > 0
    assert left_out["defaults"] == night.labelled_defaults > 0
    assert left_out["too_young"] == 0
    assert frozen.cohorts["last"] == "history"


def test_night_with_most_outcomes_is_learnt_from_and_all_its_applicants_are_baseline(
    scored: Session, drops: Replay, tmp_path: Path
) -> None:
    before = freeze_rows(scored)
    take(scored, drops.outcome_files[0], tmp_path, paid=0.95)
    frozen = freeze_rows(scored)
    night, history = frozen.batches
    assert [night["batch_id"], history["batch_id"]] == [NIGHT, "history"]
    assert frozen.fingerprint != before.fingerprint
    assert night["applications"] < night["applicants"]
    everyone = frozen.applicants.everyone
    assert everyone is not None
    assert everyone.num_rows == sum(each["applicants"] for each in frozen.batches)
    assert everyone.num_rows > frozen.table.num_rows
    assert frozen.applicants.declined is None  # known_for is all
    write_rows(scored, frozen)
    assert load_rows(scored, frozen.fingerprint) == frozen
    forget(
        scored,
        f"a.batch_id = '{NIGHT}' and a.loan_id = (select min(loan_id)"
        f" from applications where batch_id = '{NIGHT}')",
    )
    assert freeze_rows(scored).fingerprint != frozen.fingerprint


def test_loans_whose_window_is_not_over_are_left_out(
    scored: Session, drops: Replay, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    take(scored, drops.outcome_files[0], tmp_path, paid=1.0)
    assert len(freeze_rows(scored).batches) == 2
    window = {"window_days": 30, "as_of": date(2026, 2, 3)}
    frozen = freeze_rows(under(scored, outcomes=window))
    assert [each["batch_id"] for each in frozen.batches] == ["history"]
    assert frozen.cohorts["left_out"]["too_young"] == frozen.cohorts["left_out"]["loans"] > 0
    assert "because their 30 days were not over on 2026-02-03" in caplog.text
    frozen = freeze_rows(under(scored, outcomes=window | {"as_of": date(2026, 2, 4)}))
    assert frozen.cohorts["last"] == NIGHT
    assert frozen.cohorts["left_out"]["loans"] == 0


def test_window_counts_from_the_date_of_a_loan_or_else_of_its_batch(ready: Session) -> None:
    declared = ready.contract.outcomes.model_copy(
        update={"window_days": 30, "counted_from": "opened_on"}
    )
    contract = ready.contract.model_copy(update={"outcomes": declared})
    loans = {
        ("history", "2026-01-05"): True,
        ("history", "2026-01-06"): False,
        ("history", None): True,
        ("2026-02-01", "2026-01-05"): True,
        ("2026-01-01", "2026-01-06"): False,
        ("2026-01-05", None): True,
        ("2026-01-06", None): False,
    }
    query = sql.SQL(
        "SELECT {} FROM unnest({}::text[], {}::date[]) WITH ORDINALITY AS"
        " a (batch_id, opened_on, place) ORDER BY place"
    ).format(
        is_over(contract, date(2026, 1, 5)),
        *(sql.Literal(list(values)) for values in zip(*loans, strict=True)),
    )
    with database.transaction(ready.connection), ready.connection.cursor() as cursor:
        cursor.execute(query)
        assert [row[0] for row in cursor.fetchall()] == list(loans.values())


def test_funded_loans_alone_decide_whether_a_night_is_mature(
    scored: Session, drops: Replay, tmp_path: Path
) -> None:
    take(scored, drops.outcome_files[0], tmp_path, paid=1.0)
    with database.transaction(scored.connection), scored.connection.cursor() as cursor:
        cursor.execute(
            "delete from outcomes where loan_id in"
            " (select loan_id from decisions_in_effect where decision <> 'approve')"
        )
    assert len(freeze_rows(scored).batches) == 1
    frozen = freeze_rows(under(scored, outcomes={"known_for": "approved"}))
    assert frozen.cohorts["last"] == NIGHT
    declined = frozen.applicants.declined
    assert declined is not None
    night = frozen.batches[0]
    assert declined.num_rows == night["applicants"] - night["applications"]
    assert frozen.applicants.counts["declined"] == declined.num_rows


def test_of_many_loans_a_hash_draws_the_same_share_of_each_outcome(ready: Session) -> None:
    every = freeze_rows(ready)
    loans = every.table.num_rows
    rate = np.mean(every.table.column("is_default").to_pylist())
    drawn = {}
    for most in (4_000, 5_000):
        assert most < loans
        found = freeze_rows(under(ready, training={"max_loans": most}))
        share = most / loans
        assert abs(found.table.num_rows - most) < 4 * np.sqrt(loans * share * (1 - share))
        error = np.sqrt(rate * (1 - rate) / most)
        assert abs(np.mean(found.table.column("is_default").to_pylist()) - rate) < 4 * error
        assert found.cohorts["drawn_text"] == (
            f"Of {loans:,} labelled loans a hash of the key draws about {most:,}"
            " (training.max_loans)"
        )
        drawn[most] = set(found.table.column("loan_id").to_pylist())
    assert drawn[4_000] < drawn[5_000] < set(every.table.column("loan_id").to_pylist())
    assert every.cohorts["drawn_text"] is None
    assert freeze_rows(under(ready, training={"max_loans": loans})).table.num_rows == loans


def test_portfolio_whose_outcomes_are_all_immature_says_why_it_has_no_model(
    ready: Session, drops: Replay, tmp_path: Path
) -> None:
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])
    take(ready, drops.outcome_files[0], tmp_path, paid=0.4)
    forget(ready, "a.batch_id = 'history'")
    with database.transaction(ready.connection), ready.connection.cursor() as cursor:
        for table in ("promotions", "models"):
            cursor.execute(f"alter table {table} disable trigger user; delete from {table}")
    why = r"has 0 loans with an outcome \([\d,]+ labelled loans are left out: [\d,]+ because fewer"
    with pytest.raises(StateError, match=why):
        freeze_rows(ready)
    waiting = waiting_model(ready)
    assert waiting is not None
    assert "labelled loans are left out" in waiting.reason


def test_mean_prediction_is_the_default_rate_although_young_nights_show_mostly_defaults(
    real_loans: Path, new_database: Callable[..., str], tmp_path: Path
) -> None:
    """Without the guard, which a mature_share near 0 switches off, it is far too high."""
    nights, per_night = 4, 14_800
    light = {"hist_gradient_boosting": [{"max_iter": 100, "learning_rate": 0.1}]}
    found, rates = {}, {}
    with open_session("loan_default", new_database()) as opened:
        session = under(opened, training={"candidates": light, "folds": 2, "personas": 3})
        drops = replay_loans(
            session.contract,
            source=str(real_loans),
            nights=nights,
            per_night=per_night,
            landing=tmp_path / "landing",
        )
        for name, file in drops.application_files.items():
            ingest_batch(session, name, file)
        (tmp_path / "taken").mkdir()
        for night, file in enumerate(drops.outcome_files[:nights]):
            take(session, file, tmp_path / "taken", paid=1.0 if night < 2 else 0.4)
        forget(session, "a.batch_id = 'history'")
        for name, share in (("guarded", 0.9), ("unguarded", 0.01)):
            guarded = under(session, performance={"mature_share": share})
            versions, loans = train(guarded)
            row = registry.model_row(session, versions["propensity"])
            last = drops.batch_ids[-1]
            scorer = registry.load_scorer(session, versions["propensity"], versions["personas"])
            batch = read_derived(session, last, 1, scorer.columns)
            scores = scorer.score(batch)
            judged = scores.column("default_probability").drop_null().to_numpy()
            found[name] = float(judged.mean())
            rates[name] = row["training_data"]["cohorts"]["left_out"]["loans"], loans
    with Path(drops.outcome_files[nights - 1]).open(newline="") as file:
        target = session.contract.target
        states = {r[session.contract.key.source]: r[target.source] for r in csv.DictReader(file)}
    is_judged = scores.column("default_probability").is_valid()
    assert len(states) >= per_night * 0.95
    keys = batch.column("loan_id").filter(is_judged).to_pylist()
    y = [states[str(key)] in target.positive for key in keys if str(key) in states]
    low, high = wilson(sum(y), len(y))
    sys.stdout.write(f"\n{found} {rates}, observed {low:.4f} to {high:.4f}")
    assert low < found["guarded"] < high
    assert found["unguarded"] > high
