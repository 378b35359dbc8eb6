"""Measure how good a model of a portfolio can get: nested cross-validation and learning curve."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from loan_scoring.contract import Contract
from loan_scoring.errors import LoanScoringError
from loan_scoring.lab.calibrate.pool import GENERATED_ROWS, read_labelled_loans
from loan_scoring.lab.calibrate.tables import as_table
from loan_scoring.models.encoding import feature_frame
from loan_scoring.models.scorer import exclusion_reasons
from loan_scoring.models.training.candidates import (
    Trial,
    build_candidate,
    declared_trials,
    fit_pipeline,
)
from loan_scoring.models.training.cross_validation import (
    TrialError,
    choose_trial,
    cross_validate,
    fit_chosen_trial,
    fold_metrics,
)
from loan_scoring.statistics.auc import auc
from loan_scoring.statistics.intervals import student_interval

SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
"""Sizes of the training set in the learning curve, as far as there are loans."""
FOLDS = 5
"""Outer folds. Each loan is tested once, by a model that has not seen it."""
FOLDER = "model-figures"
START, END = "<!-- written by loan-scoring ceiling -->", "<!-- end of ceiling -->"


def measure_ceiling(contract: Contract, source: str | None) -> dict[str, Any]:
    """Return the figures of a portfolio, ready for JSON.

    Nested cross-validation (Varma and Simon 2006) repeats the whole choice of a candidate in the
    learning part of each outer fold, so that the AUC on the test part is that of training as it
    is, not of the best of many trials. The learning curve and the model with protected columns use
    the candidate that was chosen most often, and the same folds.

    Args:
        contract: contract of the portfolio.
        source: file or URL of the labelled loans. If None, `resolve_source` searches for a source.
    """
    loans = read_labelled_loans(contract, source, GENERATED_ROWS)
    is_judged = exclusion_reasons(contract, loans.typed).is_null()
    table = loans.typed.filter(is_judged)
    y = loans.outcome[is_judged.to_numpy(zero_copy_only=False)]
    features = [each.name for each in contract.features]
    features = [name for name in features if len(table.column(name).unique()) > 1]
    protected = [name for name in contract.protected_names if name not in features]
    X = feature_frame(table, contract, [*features, *protected])
    outer = StratifiedKFold(FOLDS, shuffle=True, random_state=contract.training.seed)
    folds = [*outer.split(X, y)]
    nested = [_choose_and_test(contract, features, X, y, learn, test) for learn, test in folds]
    names = Counter(each["chosen"] for each in nested)
    usual = max(declared_trials(contract), key=lambda each: (names[each.name], -each.place))
    dice = np.random.default_rng(contract.training.seed)
    shuffled = [(dice.permutation(learn), test) for learn, test in folds]
    whole = min(len(learn) for learn, _ in folds)
    curve = [
        {"loans": size, **_test_all(contract, features, usual, X, y, shuffled, size)}
        for size in (*(size for size in SIZES if size < whole), whole)
    ]
    everything = _test_all(contract, [*features, *protected], usual, X, y, shuffled, whole)
    return {
        "portfolio": contract.portfolio, "title": contract.title,
        "source": loans.source.rsplit("/", 1)[-1],
        "at": f"{datetime.now(UTC):%Y-%m-%d}", "seed": contract.training.seed, "loans": len(y),
        "features": len(features), "nested": nested,
        "auc": _with_interval([each["auc"] for each in nested]),
        "candidate": usual.name, "curve": curve,
        "protected": {"columns": protected, **everything} if protected else None,
    }  # fmt: skip


def _choose_and_test(
    contract: Contract,
    features: list[str],
    X: pd.DataFrame,
    y: np.ndarray,
    learn: np.ndarray,
    test: np.ndarray,
) -> dict[str, Any]:
    """Choose a candidate on the learning part as training does, and test it on the test part."""
    results = []
    for trial in declared_trials(contract):
        try:
            results.append(cross_validate(contract, features, trial, X.iloc[learn], y[learn]))
        except TrialError:
            continue  # as training leaves it out
    if not results:
        raise LoanScoringError(f"{contract.portfolio}: no candidate could be fitted; run `train`")
    chosen = choose_trial(results)
    model = fit_chosen_trial(contract, features, chosen, X.iloc[learn], y[learn])
    tested = fold_metrics(y[test], model.predict_proba(X.iloc[test])[:, 1])
    return {"chosen": chosen.trial.name, "inner_auc": chosen.mean("auc"), **tested}


def _test_all(
    contract: Contract,
    features: list[str],
    trial: Trial,
    X: pd.DataFrame,
    y: np.ndarray,
    folds: list[tuple[np.ndarray, np.ndarray]],
    size: int,
) -> dict[str, Any]:
    """Return the mean AUC of a candidate that learns from `size` loans of each fold."""
    found = []
    for learn, test in folds:
        rows = np.sort(learn[:size])
        model = fit_pipeline(build_candidate(contract, features, trial), X.iloc[rows], y[rows])
        found.append(auc(y[test], model.predict_proba(X.iloc[test])[:, 1]))
    return _with_interval(found)


def _with_interval(values: list[float]) -> dict[str, Any]:
    found = student_interval(np.array(values))
    return {"value": found.value, "lower": found.lower, "upper": found.upper}


def ceiling_section(found: dict[str, Any]) -> list[str]:
    """Return the figures as lines of Markdown."""
    nested = Counter(each["chosen"] for each in found["nested"])
    chosen = ", ".join(f"{name} in {count}" for name, count in nested.items())
    inner = float(np.mean([each["inner_auc"] for each in found["nested"]]))
    f1 = float(np.mean([each["f1_paid"] for each in found["nested"]]))
    rows = [[f"{each['loans']:,}", _shown(each)] for each in found["curve"]]
    if found["protected"] is not None:
        columns = ", ".join(found["protected"]["columns"])
        rows.append(
            [f"{found['curve'][-1]['loans']:,}, with {columns}", _shown(found["protected"])]
        )
    return [
        f"**{found['title']}**: {found['loans']:,} loans of {found['source']}, {found['features']} "
        f"features, {len(found['nested'])} outer folds, seed {found['seed']}, {found['at']}.",
        "",
        f"Nested cross-validation: AUC {_shown(found['auc'])}, F1 of paid {f1:.4f}. Chosen: "
        f"{chosen} folds; in the inner folds its AUC was {inner:.4f}.",
        "",
        f"Learning curve of {found['candidate']}:",
        "",
        *as_table(["loans learnt from", "AUC, 95 % interval"], rows),
    ]


def _shown(each: dict[str, Any]) -> str:
    return f"{each['value']:.4f}, {each['lower']:.4f} to {each['upper']:.4f}"


def write_ceiling(found: dict[str, Any], docs: Path) -> Path:
    """Keep the figures in a file, and write the section of models.md from all such files.

    Raises:
        LoanScoringError: models.md is missing or has no place for the section.
    """
    page, folder = docs / "models.md", docs / FOLDER
    text = page.read_text() if page.is_file() else ""
    if START not in text or END not in text:
        raise LoanScoringError(f"{page}: has no lines '{START}' and '{END}'; give docs/ as --docs")
    folder.mkdir(exist_ok=True)
    (folder / f"{found['portfolio']}.json").write_text(json.dumps(found, indent=1) + "\n")
    lines = [START]
    for file in sorted(folder.glob("*.json")):
        lines += ["", *ceiling_section(json.loads(file.read_text()))]
    before, after = text.split(START)[0], text.split(END)[1]
    page.write_text(before + "\n".join([*lines, "", END]) + after)
    return page
