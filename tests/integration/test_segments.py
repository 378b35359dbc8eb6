"""Segments of a batch are shown with intervals, and stand out only if their own defaults do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.monitoring.performance.restate import restate_performance
from loan_scoring.scoring.batch import score_batch
from loan_scoring_web.pages.batch import read_batch_page
from loan_scoring_web.pages.templating import render_template

pytestmark = pytest.mark.integration

SEGMENT = "loan_type"
GIVEN = {
    "base": "/loan-scoring", "airflow": "", "portfolio": "loan_default", "portfolios": [],
    "user": "u", "is_operator": False, "is_admin": False, "active": "batches",
}  # fmt: skip


def select(session: Session, query: str) -> list[list[Any]]:
    return database.select_read_only(session.connection, query)[1]


@pytest.fixture
def segmented(ready: Session) -> Session:
    raw = ready.contract.model_dump()
    amount = ready.contract.business
    assert amount is not None
    raw["performance"]["segments"] = [SEGMENT, {"column": amount.amount, "bands": [200000, 400000]}]
    # One bad segment is then enough for an alert on the whole batch, also where many default.
    raw["performance"]["default_correlation"] = 0
    return Session(Contract.model_validate(raw), ready.connection)


@pytest.fixture
def night(segmented: Session, drops: Replay) -> str:
    batch_id = drops.batch_ids[0]
    ingest_batch(segmented, batch_id, drops.application_files[batch_id])
    score_batch(segmented, batch_id)
    compare_batch(segmented, batch_id)
    return batch_id


def take(session: Session, drops: Replay, folder: Path, worse: set[str]) -> None:
    """Take the outcomes of the first night; the loans in `worse` default."""
    header, *lines = drops.outcome_files[0].read_text().splitlines()
    names = header.split(",")
    key, status = names.index("ID"), names.index("Status")
    told = [line.split(",") for line in lines]
    for fields in told:
        if fields[key] in worse:
            fields[status] = "1"
    path = folder / "late.csv"
    path.write_text("\n".join([header, *map(",".join, told)]) + "\n")
    take_outcomes(session, path)


def test_segments_are_expected_at_once_and_observed_later(
    segmented: Session, night: str, drops: Replay, tmp_path: Path
) -> None:
    query = (
        "select segmented_by, count(*), sum(loans), sum(loans * approval_rate),"
        " sum(loans * expected_default_rate), sum(outcomes), count(auc), count(stands_out)"
        " from segments group by 1 order by 1"
    )
    before = select(segmented, query)
    ((loans, approved, rate),) = select(
        segmented,
        "select max(loans), max(value * loans) filter (where metric = 'approval_rate'),"
        " max(value) filter (where metric = 'default_rate')"
        " from performance where segment = 'all' and basis = 'estimated'",
    )
    assert [row[0] for row in before] == ["loan_amount_usd", SEGMENT, "persona", "rating_grade"]
    for row in before:
        assert row[2:] == [loans, pytest.approx(approved), pytest.approx(loans * rate), None, 0, 0]
    take(segmented, drops, tmp_path, set())
    assert len(restate_performance(segmented)) == 1
    after = select(segmented, query)
    assert [row[5] for row in after] == [loans] * 4
    scored = select(
        segmented,
        f"select is_default::int, default_probability, {SEGMENT} from current_scores"
        " join outcomes using (loan_id) join current_applications using (loan_id)"
        " where default_probability is not null",
    )
    rows = select(
        segmented,
        "select segment, outcomes, default_rate, default_lower, default_upper, auc, auc_lower,"
        " auc_upper, calibration, expected_of_outcomes, p_adjusted, stands_out from segments"
        f" where segmented_by = '{SEGMENT}'",
    )
    assert len(rows) > 1
    for name, outcomes, rate, low, high, auc, auc_low, auc_high, calibration, mean, p, out in rows:
        y, score = np.array([row[:2] for row in scored if row[2] == name], dtype=float).T
        assert (outcomes, rate) == (len(y), pytest.approx(y.mean()))
        wilson = binomtest(int(y.sum()), len(y)).proportion_ci(method="wilson")
        assert (low, high) == (pytest.approx(wilson.low), pytest.approx(wilson.high))
        assert calibration == pytest.approx(rate - mean)
        if auc is not None:
            assert auc == pytest.approx(roc_auc_score(y, score))
            assert auc_low < auc < auc_high
        assert (p > 0.001, out) == (True, False)
    assert any(row[5] is not None for row in rows)


def test_a_segment_that_stands_out_is_named_by_the_alert_and_on_the_page(
    segmented: Session, night: str, drops: Replay, tmp_path: Path
) -> None:
    ((level,),) = select(
        segmented,
        f"select segment from segments where segmented_by = '{SEGMENT}' order by loans desc"
        " offset 1 limit 1",
    )
    chosen = select(
        segmented,
        f"select loan_id from current_applications where {SEGMENT} = '{level}'"
        " and batch_id <> 'history'",
    )
    take(segmented, drops, tmp_path, {str(row[0]) for row in chosen})
    restate_performance(segmented)
    out = select(segmented, "select segmented_by, segment from segments where stands_out")
    assert [row for row in out if row[0] == SEGMENT] == [[SEGMENT, level]]
    ((message, evidence),) = select(
        segmented, "select message, evidence from alerts where kind = 'concept'"
    )
    assert f"Segments that stand out: {SEGMENT}={level} (" in message
    named = [each["segment"] for facts in evidence.values() for each in facts["segments"]]
    assert f"{SEGMENT}={level}" in named
    shown = render_template("batch.html", **GIVEN, **(read_batch_page(segmented, night) or {}))
    assert shown.count("stands out</span>") == len(out)


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        (["nowhere"], "no column is named 'nowhere'"),
        ([SEGMENT, SEGMENT], f"column '{SEGMENT}' is listed twice"),
        (["loan_amount_usd"], "loan_amount_usd has no groups"),
        ([{"column": SEGMENT, "bands": [1]}], f"{SEGMENT} is not a number"),
        (["gender", "region", "age_band", SEGMENT, "loan_purpose", "loan_limit"], "at most 5"),
    ],
)
def test_columns_without_groups_are_refused(
    ready: Session, segments: list[Any], message: str
) -> None:
    raw = ready.contract.model_dump()
    raw["performance"]["segments"] = segments
    with pytest.raises(ValueError, match=message):
        Contract.model_validate(raw)


def test_a_protected_column_keeps_its_bands_and_a_segment_may_have_its_own(ready: Session) -> None:
    raw = ready.contract.model_dump()
    raw["protected"] = [*raw["protected"], {"column": "loan_amount_usd", "bands": [1.0]}]
    raw["desk"]["columns"] = None  # the queue shows no protected column
    raw["performance"]["segments"] = ["loan_amount_usd"]
    assert Contract.model_validate(raw).segment_bands == {"loan_amount_usd": [1.0]}
    raw["performance"]["segments"] = [{"column": "loan_amount_usd", "bands": [2.0]}]
    assert Contract.model_validate(raw).segment_bands == {"loan_amount_usd": [2.0]}
