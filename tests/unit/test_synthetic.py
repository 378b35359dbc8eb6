"""Generated portfolios: the margins of the contract, and a target that can be learned."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from loan_scoring import contract
from loan_scoring.contract import Column, Contract
from loan_scoring.lab.synthetic import QUANTILE_SHARES, generate_loans

ROWS = 30_000


@cache
def loans() -> Contract:
    return contract.load("loan_default")


@cache
def texts() -> pd.DataFrame:
    return pd.DataFrame(generate_loans(loans(), ROWS, seed=7).to_pydict())


def is_null(column: Column) -> pd.Series:
    return texts()[column.source].isin(["", *column.null_tokens])


def values(column: Column) -> pd.Series:
    known = texts()[column.source].where(~is_null(column))
    return pd.to_numeric(known) if column.is_numeric else known.astype("category")


def columns(**has: bool) -> list[str]:
    return [
        column.name
        for column in loans().inputs
        if column.margin and all(bool(getattr(column.margin, k)) is v for k, v in has.items())
    ]


def test_it_has_the_columns_of_the_contract_and_the_target() -> None:
    sources = [column.source for column in loans().columns]
    assert list(texts().columns) == [*sources, loans().target.source]
    assert texts()[loans().key.source].is_unique


def test_the_same_seed_gives_the_same_loans_and_another_seed_others() -> None:
    first, again, other = (generate_loans(loans(), 2000, seed) for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


@pytest.mark.parametrize("name", columns(quantiles=True))
def test_numbers_follow_the_quantiles_of_their_margin(name: str) -> None:
    column = loans().by_name[name]
    margin, drawn = column.margin, values(column)
    assert margin is not None
    assert margin.quantiles is not None
    for share, quantile in zip(QUANTILE_SHARES[1:-1], margin.quantiles[1:-1], strict=True):
        # A tie or a step may hold many ranks: the quantile must lie between its own two.
        low, high = np.nanquantile(drawn, [max(0, share - 0.02), min(1, share + 0.02)])
        assert low - (margin.step or 0) <= quantile <= high + (margin.step or 0)
    assert drawn.min() >= margin.quantiles[0]
    assert drawn.max() <= margin.quantiles[-1]
    if margin.step:
        steps = (drawn.dropna() - margin.quantiles[0]) / margin.step
        assert np.allclose(steps, steps.round(), atol=1e-4)


@pytest.mark.parametrize("name", columns(shares=True))
def test_categories_follow_the_shares_of_their_margin(name: str) -> None:
    column = loans().by_name[name]
    assert column.margin is not None
    assert column.margin.shares is not None
    drawn = values(column).value_counts(normalize=True)
    total = sum(column.margin.shares.values())
    for level, share in column.margin.shares.items():
        assert drawn.get(level, 0.0) == pytest.approx(share / total, abs=0.012)


@pytest.mark.parametrize("name", columns())
def test_nulls_follow_their_margin(name: str) -> None:
    column = loans().by_name[name]
    assert column.margin is not None
    assert is_null(column).mean() == pytest.approx(column.margin.nulls, abs=0.012)


def test_no_value_leaves_its_range_or_its_levels() -> None:
    for column in loans().columns:
        drawn = values(column).dropna()
        if column.is_numeric:
            low, high = column.range or (None, None)
            assert low is None or drawn.min() >= low
            assert high is None or drawn.max() <= high
        else:
            assert set(drawn) <= set(column.levels or [])


def test_ratios_are_computed_and_null_with_an_operand() -> None:
    for ratio in loans().ratios:
        own, top, bottom = (
            loans().by_name[name] for name in (ratio.column, ratio.numerator, ratio.denominator)
        )
        expected = ratio.scale * values(top) / values(bottom)
        assert np.allclose(values(own), expected, atol=ratio.tolerance / 10, equal_nan=True)
        assert (is_null(own) == (is_null(top) | is_null(bottom))).all()


def test_the_default_rate_is_that_of_the_contract() -> None:
    is_default = texts()[loans().target.source].isin(loans().target.positive)
    assert is_default.mean() == pytest.approx(loans().replay.generated_default_rate, abs=0.01)


def test_the_target_can_be_learned_as_well_as_on_real_loans() -> None:
    is_scorable = np.ones(ROWS, bool)
    for exclusion in loans().exclusions:
        column = loans().by_name[exclusion.column]
        hit = is_null(column) if exclusion.is_null else texts()[column.source] == exclusion.equals
        is_scorable &= ~hit
    X = pd.DataFrame({column.name: values(column) for column in loans().features})[is_scorable]
    y = texts()[loans().target.source].isin(loans().target.positive)[is_scorable]
    X_fit, X_hold, y_fit, y_hold = train_test_split(X, y, random_state=0, stratify=y)
    model = HistGradientBoostingClassifier(random_state=0).fit(X_fit, y_fit)
    assert 0.75 <= roc_auc_score(y_hold, model.predict_proba(X_hold)[:, 1]) <= 0.85


def test_a_contract_without_margins_can_be_generated() -> None:
    bare = [column.model_copy(update={"margin": None}) for column in loans().columns]
    table = generate_loans(loans().model_copy(update={"columns": bare}), 500, seed=1)
    assert table.num_rows == 500
