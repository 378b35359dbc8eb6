"""Joint tests detect what no column shows, and hold their false-alarm rate without drift."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from loan_scoring.contract import MonitoringPolicy
from loan_scoring.models.baseline import fit_column_baseline
from loan_scoring.monitoring.drift.decide import decide_drift
from loan_scoring.monitoring.drift.joint import JointBaseline, MatrixEncoding
from loan_scoring.monitoring.drift.joint_tests import (
    PrincipalPlane,
    domain_classifier,
    reconstruction_error,
)
from loan_scoring.statistics.auc import auc_against_chance

POLICY = MonitoringPolicy()
MODEST = MonitoringPolicy(joint_rows=1000)


def applications(rows: int, seed: int, correlation: float = 0.9) -> pa.Table:
    """Return two correlated numbers, a third, and a category that depends on the third."""
    rng = np.random.default_rng(seed)
    common, left, right, free = rng.standard_normal((4, rows))
    root = np.sqrt(correlation)
    amount, value = (root * common + np.sqrt(1 - correlation) * own for own in (left, right))
    level = np.where(free + rng.standard_normal(rows) > 0, "own", "rent")
    return pa.table(
        {
            "amount": pa.array(amount),
            "value": pa.array(np.where(rng.random(rows) < 0.1, np.nan, value), from_pandas=True),
            "income": pa.array(free),
            "home": pa.array(level.tolist()),
        }
    )


def frozen(table: pa.Table) -> dict[str, dict[str, object]]:
    return {
        name: fit_column_baseline(table.column(name), POLICY.bins) for name in table.column_names
    }


def fitted(table: pa.Table, policy: MonitoringPolicy = MODEST) -> JointBaseline:
    joint = JointBaseline.fit(policy, frozen(table), table, seed=1)
    assert joint is not None
    return joint


@pytest.mark.parametrize("has_ties", [False, True])
def test_auc_and_its_z_are_those_of_scikit_learn_and_scipy(has_ties: bool) -> None:
    rng = np.random.default_rng(1)
    left, right = rng.normal(size=300), rng.normal(0.3, 1, size=200)
    if has_ties:
        left, right = left.round(), right.round()
    auc, z = auc_against_chance(left, right)
    sides = np.repeat([0, 1], [300, 200])
    theirs = stats.mannwhitneyu(
        right, left, alternative="greater", method="asymptotic", use_continuity=False
    )
    assert auc == pytest.approx(roc_auc_score(sides, np.concatenate([left, right])), abs=1e-12)
    assert stats.norm.sf(z) == pytest.approx(theirs.pvalue, rel=1e-9)


def test_auc_of_scores_that_are_all_alike_says_nothing() -> None:
    assert auc_against_chance(np.ones(5), np.ones(7)) == (0.5, 0.0)


def test_domain_classifier_holds_its_rate_without_drift() -> None:
    rng = np.random.default_rng(2)
    scores = np.array([domain_classifier(*rng.normal(size=(2, 100, 3))).z for _ in range(100)])
    # The mean of 100, and a standard deviation of at most one: 99.9 % of such draws are within.
    assert abs(scores.mean()) < 3.3 / 100**0.5
    assert scores.std() < 1.25


def test_plane_and_errors_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6))
    others = rng.normal(size=(50, 6))
    plane = PrincipalPlane.fit(rows, explained=0.8)
    theirs = PCA(n_components=0.8, svd_solver="full").fit(rows)
    assert plane.axes.shape[1] == theirs.n_components_
    back = theirs.inverse_transform(theirs.transform(others))
    assert plane.errors(others) == pytest.approx(np.linalg.norm(others - back, axis=1))


def test_reconstruction_is_the_t_test_of_scipy() -> None:
    rng = np.random.default_rng(4)
    left, right = rng.gamma(2, size=900), rng.gamma(2.2, size=400)
    z, p_value, effect = reconstruction_error(left, right)
    theirs = stats.ttest_ind(right, left)
    assert z == pytest.approx(theirs.statistic, rel=1e-9)
    assert p_value == pytest.approx(2 * stats.norm.sf(abs(z)))
    assert effect == pytest.approx(abs(right.mean() - left.mean()) / left.std())
    assert reconstruction_error(np.ones(5), np.ones(5)) == (0.0, 1.0, 0.0)


def test_encoding_is_the_same_for_any_batch() -> None:
    known = applications(2000, seed=5)
    encoding = MatrixEncoding.fit(frozen(known), known)
    row = pa.table(
        {
            "home": pa.array(["own", "boat", None]),
            "amount": pa.array([1, 2, None], pa.int64()),
            "value": pa.array([None, 1e9, 0.0], pa.float64()),
            "income": pa.array([0.0, 0.0, 0.0]),
        }
    )
    matrix = encoding.matrix(row)
    assert encoding.names == ["amount", "value", "income", "home"]
    assert matrix[:, 0].tolist() == pytest.approx([1.0, 2.0, np.nan], nan_ok=True)
    codes = {level: code for code, level in enumerate(encoding.levels["home"])}
    assert matrix[:, 3].tolist() == pytest.approx([codes["own"], 2, np.nan], nan_ok=True)
    standardised = encoding.standardised(matrix)
    assert standardised.shape == (3, 2 * 3 + 4)
    assert not np.isnan(standardised).any()
    assert standardised[1, 2] < 3  # an outlier is clipped to the tail


def test_a_broken_correlation_is_seen_by_the_joint_tests_alone() -> None:
    joint = fitted(applications(20_000, seed=6))
    batch = applications(1000, seed=7)
    shuffled = np.random.default_rng(8).permutation(1000)
    broken = batch.set_column(0, "amount", batch.column("amount").take(pa.array(shuffled)))
    for table, is_quiet in ((batch, True), (broken, False)):
        assert (decide_drift(MODEST, [joint.compare(MODEST, table)])[1] == []) is is_quiet
    found = joint.compare(MODEST, broken)
    assert list(found.facts["told_by"])[:2] in (["amount", "value"], ["value", "amount"])
    assert found.psi is None


def test_the_same_batch_gives_the_same_figures() -> None:
    joint, batch = fitted(applications(5000, seed=9)), applications(1500, seed=10)
    assert joint.compare(MODEST, batch) == joint.compare(MODEST, batch)
    assert joint.compare(MODEST, batch).facts["rows"] == 1000


def test_too_few_rows_are_not_tested() -> None:
    few = applications(49, seed=11)
    assert JointBaseline.fit(POLICY, frozen(few), few, seed=1) is None
    assert fitted(applications(500, seed=12)).compare(MODEST, few) is None
