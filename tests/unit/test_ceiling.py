"""The ceiling: nested cross-validation and learning curve by hand, its interval and its page."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from loan_scoring.contract import Contract
from loan_scoring.errors import LoanScoringError
from loan_scoring.lab import ceiling
from loan_scoring.lab.calibrate.pool import read_labelled_loans
from loan_scoring.models.encoding import feature_frame
from loan_scoring.models.scorer import exclusion_reasons
from loan_scoring.models.training.candidates import build_candidate, declared_trials, fit_pipeline
from loan_scoring.statistics.intervals import student_interval


def test_interval_of_folds_is_students() -> None:
    values = np.array([0.78, 0.80, 0.79, 0.81, 0.77])
    found = student_interval(values)
    error = np.std(values, ddof=1) / np.sqrt(5)
    expected = student.interval(0.95, 4, loc=np.mean(values), scale=error)
    assert (found.lower, found.upper) == pytest.approx(expected)
    assert found.value == pytest.approx(0.79)


@pytest.fixture(scope="module")
def light(loan_default: Contract) -> Contract:
    candidates = {"hist_gradient_boosting": [{"max_iter": 4}, {"max_iter": 8}]}
    changed = {"candidates": candidates, "folds": 2}
    return loan_default.model_copy(
        update={"training": loan_default.training.model_copy(update=changed)}
    )


@pytest.fixture(scope="module")
def measured(light: Contract) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ceiling, "GENERATED_ROWS", 3000)
        patch.setattr(ceiling, "SIZES", (500, 1000))
        patch.delenv("LOAN_SCORING_SOURCE", raising=False)
        return ceiling.measure_ceiling(light, None)


def test_each_loan_is_tested_once_by_a_model_that_has_not_seen_it(
    light: Contract, measured: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Points of the curve, with protected columns or without, computed again from the loans."""
    monkeypatch.delenv("LOAN_SCORING_SOURCE", raising=False)
    loans = read_labelled_loans(light, None, 3000)
    is_judged = exclusion_reasons(light, loans.typed).is_null()
    table, y = loans.typed.filter(is_judged), loans.outcome[np.array(is_judged.to_pylist())]
    names = [each.name for each in light.features if len(table[each.name].unique()) > 1]
    trial = next(t for t in declared_trials(light) if t.name == measured["candidate"])
    cut = StratifiedKFold(5, shuffle=True, random_state=light.training.seed).split(y, y)
    dice = np.random.default_rng(light.training.seed)
    folds = [(dice.permutation(learn), test) for learn, test in cut]
    whole = min(len(learn) for learn, _ in folds)
    assert [each["loans"] for each in measured["curve"]] == [500, 1000, whole]
    every = [*names, *measured["protected"]["columns"]]
    for columns, size, expected in (
        (names, 1000, measured["curve"][1]),
        (every, whole, measured["protected"]),
    ):
        X, found = feature_frame(table, light, columns), []
        for learn, test in folds:
            rows = sorted(learn[:size])
            model = fit_pipeline(build_candidate(light, columns, trial), X.iloc[rows], y[rows])
            found.append(roc_auc_score(y[test], model.predict_proba(X.iloc[test])[:, 1]))
        assert expected["value"] == pytest.approx(np.mean(found), abs=1e-9)
    assert sorted(row for _, test in folds for row in test) == [*range(len(y))]
    aucs = [each["auc"] for each in measured["nested"]]
    assert len(aucs) == 5
    assert measured["auc"]["value"] == pytest.approx(np.mean(aucs))
    assert {each["chosen"] for each in measured["nested"]} <= {
        "hist_gradient_boosting-1", "hist_gradient_boosting-2",
    }  # fmt: skip


def test_figures_are_kept_and_the_page_is_written_from_them(measured: dict, tmp_path: Path) -> None:
    page = tmp_path / "models.md"
    with pytest.raises(LoanScoringError, match=r"models\.md: has no lines"):
        ceiling.write_ceiling(measured, tmp_path)
    page.write_text(f"before\n\n{ceiling.START}\nstale\n{ceiling.END}\n\nafter\n")
    for _ in range(2):  # the second time it replaces what it wrote
        ceiling.write_ceiling(measured, tmp_path)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{ceiling.END}\n\nafter\n")
    assert "stale" not in text
    assert text.count("Learning curve of") == 1
    assert f"{measured['auc']['value']:.4f}" in text
    kept = json.loads((tmp_path / "model-figures" / "loan_default.json").read_text())
    assert kept == json.loads(json.dumps(measured))


def test_page_of_the_project_shows_what_is_kept() -> None:
    docs = Path(__file__).parents[2] / "docs"
    text = (docs / "models.md").read_text()
    for file in (docs / ceiling.FOLDER).glob("*.json"):
        assert "\n".join(ceiling.ceiling_section(json.loads(file.read_text()))) in text
