"""Scores are those of the fitted pipelines, whatever the names of columns and levels are.

Names are drawn from few words that are joined by `_`, as scikit-learn joins the name of a column
and a level: level `type_a` of column `job` and level `a` of column `job_type` have one name there.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from loan_scoring.contract import PARAMETERS, Contract
from loan_scoring.contract.columns import RESERVED
from loan_scoring.models.contributions import Contributions
from loan_scoring.models.encoding import feature_frame
from loan_scoring.models.estimators import Calibrated
from loan_scoring.models.layout import encoded_levels, encoded_widths
from loan_scoring.models.scorer import Scorer
from loan_scoring.models.training.candidates import Trial, build_candidate, fit_pipeline
from loan_scoring.models.training.persona_names import name_clusters, tell_clusters
from loan_scoring.models.training.personas import fit_personas

FEW = {
    "logistic_regression": {"C": 1.0},
    "random_forest": {"n_estimators": 5, "min_samples_leaf": 5},
    "hist_gradient_boosting": {"max_iter": 5, "min_samples_leaf": 5},
    "xgboost": {"n_estimators": 5, "min_child_weight": 1},
    "scorecard": {"C": 1.0},
}
ROWS = 200

words = st.sampled_from(["job", "type", "a", "b", "job_type", "type_a", "sp", "nan"])
joined = st.lists(words, min_size=1, max_size=3).map("_".join)
column_names = joined | st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
level_names = (
    joined
    | st.sampled_from(["_", "a_", "_a", " a", "a b", "ä", "aé", "nan", "None", "rare", "missing"])
    | st.sampled_from(["infrequent_sklearn", "null", "1", "1.0", "日本", "x" * 60])
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
)


@st.composite
def portfolios(draw: st.DrawFn) -> tuple[dict[str, list[str] | None], int]:
    """Draw the levels of each column by its name, None for a number, and a seed of the rows.

    The first column is a category. At least one of its levels, joined to its name, begins with the
    name of another column.
    """
    first, rest = draw(joined), draw(joined)
    names = [first, f"{first}_{rest}", *draw(st.lists(column_names, max_size=4))]
    columns: dict[str, list[str] | None] = {}
    for name in draw(st.permutations(sorted({*names} - {"loan_id", *RESERVED}))):
        levels = draw(st.lists(level_names, min_size=2, max_size=5, unique=True))
        # What follows this name in the longer names of other columns begins levels of this one.
        ends = [other.removeprefix(f"{name}_") for other in names if other.startswith(f"{name}_")]
        alike = [f"{end}{more}" for end in ends for more in ("", "_a", "_type_b")]
        is_number = name != first and draw(st.booleans())
        columns[name] = None if is_number else list(dict.fromkeys([*alike, *levels]))
    return columns, draw(st.integers(0, 10_000))


def contract_of(columns: dict[str, Any]) -> Contract:
    known = {"known": "application"}
    key = {"source": "nr", "name": "loan_id", "label": "Nr", "type": "integer", **known}
    declared = [
        {
            "source": f"source of {name}", "name": name, "label": f"Label of {name}", **known,
            **({"type": "category", "open_levels": True} if levels else {"type": "number"}),
        }
        for name, levels in columns.items()
    ]  # fmt: skip
    return Contract.model_validate(
        {
            "portfolio": "names",
            "title": "Names that collide",
            "owner": "tests",
            "target": {"source": "state of the loan", "positive": ["bad"], "negative": ["paid"]},
            "columns": [key, *declared],
            "decision": {"approve_below": 0.1, "decline_from": 0.4},
            "training": {"personas": 3},
        }
    )


def rows_of(
    columns: dict[str, Any], dice: np.random.Generator, unseen: list[str | None]
) -> pa.Table:
    """Draw rows with nulls, and with the unseen levels in the categories."""
    data = {}
    for name, levels in columns.items():
        is_null = dice.random(ROWS) < 0.1
        if levels is None:
            data[name] = pa.array(dice.normal(size=ROWS), pa.float64(), mask=is_null)
        else:
            known = [*levels, *unseen]
            weights = 1 / np.arange(1, len(known) + 1) ** 2  # so that some levels are rare
            drawn = dice.choice(len(known), ROWS, p=weights / weights.sum())
            values = [None if null else known[i] for i, null in zip(drawn, is_null, strict=True)]
            data[name] = pa.array(values, pa.string())
    return pa.table(data)


def fitted(contract: Contract, table: pa.Table, algorithm: str, y: np.ndarray) -> Pipeline:
    names = table.column_names
    trial = Trial(f"{algorithm}-1", 0, algorithm, FEW[algorithm])
    return fit_pipeline(
        build_candidate(contract, names, trial), feature_frame(table, contract, names), y
    )


def calibrated(model: Pipeline) -> Pipeline:
    last = Calibrated(model[-1], 0.8, -0.1)
    last.classes_ = model[-1].classes_
    return Pipeline([model.steps[0], ("classify", last)])


@pytest.mark.parametrize("finish", [lambda model: model, calibrated], ids=["plain", "calibrated"])
@pytest.mark.parametrize("algorithm", PARAMETERS)
@settings(deadline=None, max_examples=15)
@given(drawn=portfolios())
def test_scores_are_those_of_the_pipelines_under_any_names(
    algorithm: str, finish: Callable[[Pipeline], Pipeline], drawn: tuple
) -> None:
    if algorithm == "scorecard":
        pytest.importorskip("optbinning", reason="the extra scorecard is not installed")
    columns, seed = drawn
    dice = np.random.default_rng(seed)
    contract, names = contract_of(columns), list(columns)
    table, new = rows_of(columns, dice, []), rows_of(columns, dice, ["never seen", "job_never"])
    category = next(name for name, levels in columns.items() if levels)
    is_first = np.array(table.column(category).to_pylist()) == columns[category][0]
    y = (dice.random(ROWS) < np.where(is_first, 0.7, 0.2)).astype(int)
    model = finish(fitted(contract, table, algorithm, y))
    clusters, _ = fit_personas(contract, names, feature_frame(table, contract, names), y)
    people = [f"persona {place}" for place in range(clusters[-1].n_clusters)]
    scorer = Scorer(contract, model, names, clusters, names, people, [0.1] * len(people))
    X = feature_frame(new, contract, names)
    for start, stop in ((0, ROWS), (50, 70)):  # the second time, the levels are known already
        found, plain = scorer.score(new.slice(start, stop - start)), X.iloc[start:stop]
        probability = found.column("default_probability").to_numpy()
        assert probability == pytest.approx(model.predict_proba(plain)[:, 1], abs=1e-12)
        assert found.column("persona").to_pylist() == [people[i] for i in clusters.predict(plain)]

    # The same model under names that cannot collide gives each feature the same contribution.
    renamed = {f"c{place}": levels for place, levels in enumerate(columns.values())}
    twin = finish(fitted(contract_of(renamed), table.rename_columns([*renamed]), algorithm, y))
    encoded = np.asarray(model[0].transform(X), dtype=float)
    base, added = Contributions(model, names).by_feature(encoded)
    expected_base, expected = Contributions(twin, [*renamed]).by_feature(encoded)
    assert base == pytest.approx(expected_base, abs=1e-12)
    assert added == pytest.approx(expected, abs=1e-12)


def test_persona_is_named_after_the_column_that_sets_it_apart() -> None:
    """Levels `type_a` and `type_b` of `job` belong to `job`, although there is a `job_type`."""
    columns = {"job": ["type_a", "type_b"], "job_type": ["a", "b"], "income": None}
    dice = np.random.default_rng(1)
    table = rows_of(columns, dice, [])
    table = table.set_column(1, "job_type", pa.array(["a"] * (ROWS - 10) + ["b"] * 10))
    contract, names = contract_of(columns), list(columns)
    X = feature_frame(table, contract, names)
    clusters, _ = fit_personas(contract, names, X, np.arange(ROWS) % 2)
    count = clusters[-1].n_clusters
    told = name_clusters(tell_clusters(contract, X, clusters[-1].labels_, count))
    assert any("label of job type_" in name for name in told)
    assert not any("label of job_type type_" in name for name in told)


def test_level_that_spells_a_word_for_null_or_rare_is_a_level() -> None:
    X = np.array(["missing"] * 9 + ["rare"] * 9 + ["x", "y"] + [np.nan] * 3, dtype=object)[:, None]
    encoder = OneHotEncoder(min_frequency=5, handle_unknown="infrequent_if_exist").fit(X)
    assert encoded_levels(encoder, 0) == ["missing", "rare", "rare"]  # the last one is the group
    assert encoded_widths(encoder, ["x"]) == [3]
    encoder = OneHotEncoder(min_frequency=2, handle_unknown="infrequent_if_exist").fit(X)
    assert encoded_levels(encoder, 0) == ["missing", "rare", "missing", "rare"]
