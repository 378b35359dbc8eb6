"""Scores have the grade of their probability, and a judged challenger is compared by loan."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.models import registry
from loan_scoring.models.cutoffs import read_comparison, swapped
from loan_scoring.models.promotion.judge import judge_challenger
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.monitoring.performance.restate import restate_performance
from loan_scoring.scoring.batch import score_batch
from loan_scoring_web.pages.batch import read_batch_page
from loan_scoring_web.pages.models import read_models_page
from loan_scoring_web.pages.templating import render_template

pytestmark = pytest.mark.integration

GIVEN = {
    "base": "/loan-scoring", "airflow": "", "portfolio": "loan_default", "portfolios": [],
    "user": "u", "is_operator": False, "is_admin": False, "active": "batches",
}  # fmt: skip


def select(session: Session, query: str) -> list[list[Any]]:
    return database.select_read_only(session.connection, query)[1]


def with_grades(session: Session, grades: Any) -> Session:
    raw = session.contract.model_dump() | {"grades": grades}
    return Session(Contract.model_validate(raw), session.connection)


def scored(session: Session, drops: Replay) -> list[list[Any]]:
    batch_id = drops.batch_ids[0]
    ingest_batch(session, batch_id, drops.application_files[batch_id])
    score_batch(session, batch_id)
    return select(session, "select grade, default_probability from current_scores")


def test_scores_have_the_grade_that_training_derived(ready: Session, drops: Replay) -> None:
    rows = scored(ready, drops)
    row = registry.model_row(ready, "propensity-1")
    grades = row["evaluation"]["grades"]
    limits = [each["below"] for each in grades["scale"][:-1]]
    names = [each["grade"] for each in grades["scale"]]
    for grade, probability in rows:
        expected = None if probability is None else names[np.digitize(probability, limits)]
        assert grade == expected
    assert {grade for grade, _ in rows} == {None, *names}
    assert sum(each["loans"] for each in grades["rows"]) == row["metrics"]["rows"]
    pds = [each["pd"] for each in grades["scale"]]
    assert pds == sorted(pds)


def test_declared_scale_grades_at_once_and_earlier_runs_keep_theirs(
    ready: Session, drops: Replay
) -> None:
    scored(ready, drops)
    declared = [{"grade": "low", "below": 0.1}, {"grade": "high"}]
    rows = scored(with_grades(ready, declared), drops)
    assert {grade for grade, p in rows if p is not None and p < 0.1} == {"low"}
    assert {grade for grade, p in rows if p is not None and p >= 0.1} == {"high"}
    bare = scored(with_grades(ready, None), drops)
    assert {grade for grade, _ in bare} == {None}
    assert select(ready, "select count(distinct scoring_run_id) from scores") == [[3]]


def test_grades_are_backtested_on_the_page_of_a_batch(
    ready: Session, drops: Replay, tmp_path: Path
) -> None:
    scored(ready, drops)
    batch_id = drops.batch_ids[0]
    compare_batch(ready, batch_id)
    shown = read_batch_page(ready, batch_id)
    assert shown is not None
    (before,) = (each for each in shown["segments"] if each["label"] == "Rating grade")
    assert before["hosmer_lemeshow"] is None
    take_outcomes(ready, drops.outcome_files[0])
    restate_performance(ready)
    shown = read_batch_page(ready, batch_id)
    assert shown is not None
    (found,) = (each for each in shown["segments"] if each["label"] == "Rating grade")
    assert [row["segment"] for row in found["rows"]] == sorted(r["segment"] for r in found["rows"])
    assert all(0 < row["p_value"] < 1 for row in found["rows"])
    assert found["hosmer_lemeshow"]["freedom"] == len(found["rows"])
    assert "Hosmer-Lemeshow" in render_template("batch.html", **GIVEN, **shown)


def test_judged_challenger_is_compared_on_the_same_loans(
    ready: Session, ready_url: str, challenge: Callable, capsys: pytest.CaptureFixture
) -> None:
    versions = challenge("noise", max_bins=200)
    graded = with_grades(ready, [{"grade": "low", "below": 0.1}, {"grade": "high"}])
    judged = judge_challenger(graded, versions)
    judge_challenger(graded, versions)  # a second judgement replaces the first
    found = read_comparison(ready, "propensity-2")
    assert found is not None
    assert found["loans"] == judged.holdout["rows"]
    threshold = ready.contract.decision.approve_below
    sets = swapped(found, threshold, threshold)
    assert sum(each.loans for each in sets.values()) == found["loans"]
    assert sum(each.defaults for each in sets.values()) == found["defaults"]
    evaluation = registry.model_row(ready, "propensity-1")["evaluation"]
    at_policy = next(e for e in evaluation["cutoffs"]["rows"] if e["threshold"] == threshold)
    by_champion = [sets["both"], sets["goes_out"]]
    assert sum(each.loans for each in by_champion) == at_policy["loans"]
    assert sum(each.defaults for each in by_champion) == at_policy["defaults"]
    assert np.sum(found["grades"]["loans"]) == found["loans"]
    page = render_template(
        "models.html", may_promote=False, **GIVEN, **read_models_page(ready, None, None)
    )
    assert 'id="challenger-cutoff"' in page
    assert 'id="cutoff"' in page
    command = ["cutoffs", "--json", "--database", ready_url, "--against", "propensity-2"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    (first, _) = told["comparison"]["swap_sets"]
    assert first["goes_out"]["loans"] == sets["goes_out"].loans
