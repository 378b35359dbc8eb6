"""The leak gate's figures against independent ones, and its verdict on each kind of leak."""

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from loan_scoring.contract import Contract, LeakPolicy
from loan_scoring.errors import ContractError
from loan_scoring.models.training.leak_figures import leak_figures, level_auc
from loan_scoring.models.training.leaks import leak_report
from loan_scoring.models.training.report import render_leaks
from loan_scoring.models.training.rows import _pass_leak_gate
from loan_scoring.statistics.auc import auc_of_counts
from loan_scoring.statistics.intervals import wilson

POLICY = LeakPolicy()
DICE = np.random.default_rng(7)
N = 8000
Y = DICE.random(N) < 0.2


def contract(**training: object) -> Contract:
    """A portfolio with a number, a category, a later column and a protected one."""
    of = {"type": "number", "known": "application"}
    return Contract.model_validate(
        {
            "portfolio": "tiny",
            "title": "Tiny",
            "owner": "nobody",
            "target": {"source": "bad", "positive": ["1"], "negative": ["0"]},
            "decision": {"approve_below": 0.1, "decline_from": 0.4},
            "protected": ["sex"],
            "training": {"leaks": training},
            "columns": [
                {**of, "source": "id", "name": "loan_id", "label": "Id", "type": "integer"},
                {**of, "source": "a", "name": "amount", "label": "Amount"},
                {**of, "source": "r", "name": "rate", "label": "Rate", "known": "pricing"},
                {
                    **of, "source": "k", "name": "kind", "label": "Kind", "type": "category",
                    "open_levels": True,
                },
                {
                    **of, "source": "s", "name": "sex", "label": "Sex", "type": "category",
                    "open_levels": True,
                },
            ],
        }
    )  # fmt: skip


def table(**columns: object) -> pa.Table:
    base = {
        "loan_id": pa.array(np.arange(N)),
        "amount": pa.array(DICE.normal(size=N)),
        "rate": pa.array(DICE.normal(size=N)),
        "kind": pa.array(DICE.choice(["a", "b", "c"], N)),
        "sex": pa.array(DICE.choice(["f", "m"], N)),
    }
    return pa.table({**base, **columns, "is_default": pa.array(Y)})


def findings(of: pa.Table, judged: np.ndarray | None = None, **policy: object) -> dict:
    everyone = np.ones(N, dtype=bool)
    made = leak_report(contract(**policy), of, everyone if judged is None else judged, everyone)
    return {finding.column: finding for finding in made.findings}


def test_auc_is_that_of_rates_from_the_other_folds() -> None:
    """A category, against pandas and scikit-learn on other folds."""
    codes = np.where(Y, DICE.choice(4, N, p=[0.1, 0.2, 0.3, 0.4]), DICE.choice(4, N))
    plain = []
    for learn, test in StratifiedKFold(5, shuffle=True, random_state=1).split(codes, Y):
        rates = pd.Series(Y[learn]).groupby(codes[learn]).mean()
        plain.append(roc_auc_score(Y[test], rates.reindex(codes[test])))
    assert level_auc(codes, Y, seed=1) == pytest.approx(np.mean(plain), abs=0.002)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=9))
def test_auc_of_counts_is_scikit_learns(counts: list[tuple[int, int]]) -> None:
    bad, good = np.array(counts).T
    if not bad.sum() or not good.sum():
        return
    levels = np.arange(len(bad))
    places = np.concatenate([np.repeat(levels, bad), np.repeat(levels, good)])
    y = np.repeat([1, 0], [bad.sum(), good.sum()])
    assert auc_of_counts(bad, good) == pytest.approx(roc_auc_score(y, places))


@given(st.integers(0, 500), st.integers(1, 500), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_scipys(successes: int, n: int, confidence: float) -> None:
    successes = min(successes, n)
    theirs = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    ours = wilson(successes, n, confidence)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_noise_has_an_auc_of_one_half_and_is_clean() -> None:
    for finding in findings(table()).values():
        assert finding.verdict == "clean"
        assert finding.everyone.auc == pytest.approx(0.5, abs=0.03)
        assert finding.everyone.null_auc is None


@pytest.mark.parametrize("sign", [1, -1])
def test_number_that_separates_the_outcomes_leaks_in_either_direction(sign: int) -> None:
    known = findings(table(amount=pa.array(sign * (Y * 2.0 + DICE.normal(size=N)))))["amount"]
    assert known.everyone.auc == pytest.approx(0.92, abs=0.02)
    assert (known.verdict, known.is_decisive) == ("leak", True)
    assert known.reasons[0].startswith("AUC of the column alone 0.9")


def test_number_that_separates_them_in_its_middle_leaks() -> None:
    """Ranking by the number itself does not show it: 0.5 by roc_auc_score."""
    middle = np.where(Y, DICE.normal(0, 0.1, N), DICE.normal(0, 3, N))
    assert roc_auc_score(Y, middle) == pytest.approx(0.5, abs=0.03)
    assert findings(table(amount=pa.array(middle)))["amount"].verdict == "leak"


@pytest.mark.parametrize("of_defaults", [True, False])
def test_nulls_that_give_the_outcome_away_leak(of_defaults: bool) -> None:
    null = (of_defaults == Y) & (DICE.random(N) < 0.5)
    known = findings(table(kind=pa.array(["a"] * N, mask=null)))["kind"]
    assert known.everyone.nulls == null.sum()
    assert known.everyone.null_auc == pytest.approx(0.75, abs=0.02)
    assert known.verdict == "leak"
    assert any("AUC of its nulls alone 0.7" in reason for reason in known.reasons)


def test_level_of_defaults_only_is_named_and_leaks_if_it_has_enough_of_them() -> None:
    defaults = np.flatnonzero(Y)
    kind = DICE.choice(["a", "b"], N).astype(object)
    kind[defaults[:33]] = "flag"
    known = findings(table(kind=pa.array(kind)))["kind"]
    (level,) = known.everyone.near_pure
    assert (level.level, level.loans, level.default_rate) == ("flag", 33, 1.0)
    assert level.coverage == pytest.approx(33 / Y.sum())
    assert (known.verdict, known.reasons) == ("suspect", [])
    kind[defaults[:160]] = "flag"  # one in ten of all that defaulted
    known = findings(table(kind=pa.array(kind)))["kind"]
    assert known.verdict == "leak"
    assert "100.0% of 160 loans with flag defaulted" in known.reasons[0]
    kind[defaults[:160]] = "a"
    kind[defaults[:20]] = "flag"  # too few: the lower Wilson bound is below the limit
    assert findings(table(kind=pa.array(kind)))["kind"].verdict == "clean"


def test_level_of_the_usual_outcome_is_not_near_pure() -> None:
    kind = np.where(Y, "a", DICE.choice(["a", "safe"], N, p=[0.9, 0.1]))
    assert findings(table(kind=pa.array(kind)))["kind"].everyone.near_pure == []


def test_single_number_of_defaults_only_is_found_among_many() -> None:
    amount = DICE.normal(1000, 50, N)
    amount[np.flatnonzero(Y)[:100]] = 0.0
    known = findings(table(amount=pa.array(amount)))["amount"]
    assert ("0", 100) in [(level.level, level.loans) for level in known.everyone.near_pure]
    assert known.verdict == "leak"


def test_levels_with_the_same_label_are_different_levels() -> None:
    """`:g` writes 1000001 and 1000002 alike, and a level may be spelled like a null."""
    defaults = np.flatnonzero(Y)
    amount = DICE.normal(1000, 50, N)
    amount[defaults[:40]], amount[defaults[40:90]] = 1_000_001.0, 1_000_002.0
    known = findings(table(amount=pa.array(amount)))["amount"]
    assert {("1e+06", 40), ("1e+06", 50)} <= {
        (level.level, level.loans) for level in known.everyone.near_pure
    }
    kind = DICE.choice(["a", "b"], N).astype(object)
    kind[defaults[:40]], kind[defaults[40:90]] = "null", None
    known = findings(table(kind=pa.array(kind)))["kind"]
    assert {("null", 40), ("null", 50)} == {
        (level.level, level.loans) for level in known.everyone.near_pure
    }


def test_leak_among_excluded_loans_is_reported_and_not_decisive() -> None:
    null = Y & (DICE.random(N) < 0.5)
    known = findings(table(amount=pa.array(np.ones(N), mask=null)), judged=~null)["amount"]
    assert (known.verdict, known.is_decisive) == ("excluded", False)
    assert known.judged.null_auc is None


def test_leak_of_a_column_that_is_no_feature_is_not_decisive() -> None:
    found = findings(table(rate=pa.array(np.ones(N), mask=Y), sex=pa.array(np.where(Y, "f", "m"))))
    for name, role in (("rate", "pricing"), ("sex", "protected")):
        assert (found[name].role, found[name].verdict) == (role, "leak")
        assert not found[name].is_decisive


def test_column_known_later_is_measured_on_the_history_alone() -> None:
    """In nightly batches it is null for every loan, which would hide the leak."""
    history = np.arange(N) < 2000
    rates = table(rate=pa.array(np.ones(N), mask=Y | ~history))
    made = leak_report(contract(), rates, np.ones(N, dtype=bool), history)
    known = next(finding for finding in made.findings if finding.column == "rate")
    assert (known.everyone.loans, known.everyone.null_auc) == (2000, 1.0)


def test_acknowledged_leak_is_reported_and_not_decisive() -> None:
    leaking = table(kind=pa.array(np.where(Y, "x", "y")))
    assert findings(leaking)["kind"].is_decisive
    known = findings(leaking, acknowledged={"kind": "set by the applicant"})["kind"]
    assert (known.verdict, known.is_decisive) == ("acknowledged", False)
    assert known.reasons


def test_report_is_a_table_with_the_worst_first() -> None:
    made = leak_report(
        contract(),
        table(kind=pa.array(np.where(Y, "x", "y"))),
        np.ones(N, dtype=bool),
        np.zeros(N, dtype=bool),
    )
    lines = render_leaks(made).splitlines()
    assert lines[3].split()[:3] == ["kind", "feature", "1.000"]
    assert lines[3].endswith(f" x ({Y.sum()}, 100.0%)")
    assert len(lines) == 3 + 5
    assert "->" not in "".join(lines)
    assert next(each for each in lines if "rate " in each).split("  ")[-1].strip() == (
        "not judged: known later"
    )


def test_report_with_excluded_loans_shows_both_figures_and_what_it_leaves_out() -> None:
    of_all, of_none = np.arange(N) % 2 == 0, np.zeros(N, dtype=bool)
    made = leak_report(contract(), table(kind=pa.array(np.where(Y, "x", "y"))), of_all, of_none)
    long = dataclasses.replace(made.findings[0], column="a" * 40)
    lines = render_leaks(dataclasses.replace(made, findings=[long]), ["issued"]).splitlines()
    assert lines[0].endswith("figures: all -> judged")
    assert "1.000 -> 1.000" in lines[3]
    assert lines[2].index("role") == lines[3].index("feature")
    assert lines[-1].endswith("no model reads dates, times, texts and uuids: issued")


def test_weak_column_has_the_auc_of_its_better_direction_and_none_is_below_one_half() -> None:
    """In a small file the rates of other folds mislead: 32 bins of 400 loans."""
    dice = np.random.default_rng(3)
    y = dice.random(400) < 0.2
    values = dice.normal(size=400) - 0.2 * y
    found = leak_figures(pa.array(values), y, POLICY, 1)
    expected = 1 - roc_auc_score(y, values)
    assert found.auc == pytest.approx(max(expected, 1 - expected))
    texts = pa.array([f"t{n}" for n in dice.integers(0, 150, 400)])
    assert leak_figures(texts, y, POLICY, 1).auc >= 0.5


@pytest.mark.parametrize("values", [pa.nulls(N, pa.float64()), pa.array(np.ones(N))])
def test_column_that_is_the_same_everywhere_has_no_auc(values: pa.Array) -> None:
    known = findings(table(amount=values))["amount"]
    assert (known.everyone.auc, known.verdict) == (None, "clean")


def test_refusal_of_leaking_nulls_offers_a_level_of_their_own() -> None:
    everyone, of_none = np.ones(N, dtype=bool), np.zeros(N, dtype=bool)
    nulls = table(kind=pa.array(["a"] * N, mask=Y))
    levels = table(kind=pa.array(np.where(Y, "x", "a")))
    refusing = contract(action="refuse")
    with pytest.raises(ContractError, match="or give the null texts a level of their own"):
        _pass_leak_gate(refusing, leak_report(refusing, nulls, everyone, of_none))
    with pytest.raises(ContractError) as caught:
        _pass_leak_gate(refusing, leak_report(refusing, levels, everyone, of_none))
    assert "null texts" not in str(caught.value)
