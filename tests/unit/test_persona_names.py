"""Names of personas: unique, true of most members, and readable."""

import re
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loan_scoring.contract import Column, Contract
from loan_scoring.models.training.persona_names import (
    MIXED,
    Told,
    describe_traits,
    name_clusters,
    tell_clusters,
)
from loan_scoring.models.training.personas import fit_personas


def with_columns(*columns: dict[str, Any] | Column) -> Contract:
    """Return a contract with a key and these columns, which are numbers if nothing else is said."""
    key = {"name": "loan_id", "label": "Loan", "type": "integer"}
    made = [
        each
        if isinstance(each, Column)
        else Column(**{"source": each["name"], "known": "application", "type": "number"} | each)
        for each in (key, *columns)
    ]
    return Contract.model_validate(
        {
            "portfolio": "loans", "title": "Loans", "owner": "risk", "columns": made,
            "target": {"source": "status", "positive": ["bad"], "negative": ["paid"]},
            "decision": {"approve_below": 0.1, "decline_from": 0.3},
        }
    )  # fmt: skip


def named(contract: Contract, X: pd.DataFrame, clusters: Any, **kept: Any) -> list[str]:
    return name_clusters(told(contract, X, clusters), **kept)


def told(contract: Contract, X: pd.DataFrame, clusters: Any) -> list[list[Told]]:
    found = np.array(clusters)
    return tell_clusters(contract, X, found, int(found.max()) + 1)


def of_texts(*texts: str | None) -> pd.Series:
    return pd.Series([np.nan if text is None else text for text in texts], dtype=object)


def test_column_that_is_nearly_always_null_is_called_missing_and_never_low() -> None:
    """The case persona-null: null in 95 of 100 rows, else 0."""
    of = with_columns(
        {"name": "amount_eur", "label": "Amount", "unit": "EUR"},
        {"name": "partner_arrears", "label": "Arrears of the partner", "type": "integer"},
    )
    dice = np.random.default_rng(5)
    X = pd.DataFrame(
        {
            "amount_eur": dice.lognormal(9, 1, 2000),
            "partner_arrears": np.where(dice.random(2000) < 0.95, np.nan, 0.0),
        }
    )
    clusters, _ = fit_personas(of, list(X.columns), X, np.arange(2000) % 2)
    names = named(of, X, clusters[-1].labels_)
    assert len(set(names)) == len(names) > 1
    assert not re.search("(low|high|middling|lower|higher) arrears", " ".join(names))
    assert all("amount (EUR)" in name for name in names)


def test_null_of_most_members_is_said_as_missing() -> None:
    of = with_columns({"name": "arrears", "label": "Arrears"})
    X = pd.DataFrame({"arrears": [np.nan] * 9 + [3.0] + [1.0, 2.0, 3.0, 4.0, 5.0] * 2})
    assert named(of, X, [0] * 10 + [1] * 10)[0] == "arrears missing"


@pytest.mark.parametrize(
    ("label", "yes", "no"),
    [
        (
            "Backed by real estate",
            "most are backed by real estate",
            "most are not backed by real estate",
        ),
        ("Is a new business", "most are a new business", "most are not a new business"),
        ("Has a phone", "most have a phone", "most do not have a phone"),
        ("LIBOR clause", "most with LIBOR clause", "most without LIBOR clause"),
    ],
)
def test_flag_reads_as_a_sentence_whether_it_is_a_number_or_a_category(
    label: str, yes: str, no: str
) -> None:
    column = {"name": "flag", "label": label}
    X = pd.DataFrame({"flag": [1.0, 1.0, 1.0, np.nan, 0.0, 0.0, 0.0, 1.0]})
    assert named(with_columns(column), X, [0] * 4 + [1] * 4) == [yes, no]
    of = with_columns(column | {"type": "category", "levels": ["Y", "N"]})
    X = pd.DataFrame({"flag": of_texts("Y", "Y", "Y", None, "N", "N", "N", "Y")})
    assert named(of, X, [0] * 4 + [1] * 4) == [yes, no]


def test_columns_with_one_label_are_told_apart_by_unit_or_name() -> None:
    of = with_columns(
        {"name": "income_usd", "label": "Income", "unit": "USD"},
        {"name": "income_eur", "label": "Income", "unit": "EUR"},
        {"name": "spouse_income_eur", "label": "Income", "unit": "EUR"},
    )
    rise = np.arange(12.0)
    X = pd.DataFrame(dict.fromkeys(("income_usd", "income_eur", "spouse_income_eur"), rise))
    assert named(of, X, [0] * 4 + [1] * 4 + [2] * 4) == [
        "low income (USD), low income [income_eur] (EUR)",
        "middling income (USD), middling income [income_eur] (EUR)",
        "high income (USD), high income [income_eur] (EUR)",
    ]


def test_codes_are_shown_by_their_labels() -> None:
    class Coded(Column):
        level_labels: ClassVar = {"p3": "home improvement"}

    purpose = Coded(
        source="p", name="purpose", label="Purpose", known="application", type="category",
        levels=["p3", "p4"],
    )  # fmt: skip
    of = with_columns(purpose)
    X = pd.DataFrame({"purpose": of_texts(*["p3"] * 5, *["p4"] * 5)})
    assert named(of, X, [0] * 5 + [1] * 5) == ["purpose home improvement", "purpose p4"]


def test_name_is_kept_only_while_every_word_is_true() -> None:
    of = with_columns({"name": "income", "label": "Income", "unit": "USD"})
    X = pd.DataFrame({"income": np.arange(9.0)})
    clusters = [0] * 3 + [1] * 3 + [2] * 3
    kept = {0: "lower income (USD)", 1: "high income (USD)"}
    assert named(of, X, clusters, kept=kept) == [
        "lower income (USD)",
        "middling income (USD)",
        "high income (USD)",
    ]


def test_personas_that_nothing_sets_apart_are_numbered() -> None:
    of = with_columns({"name": "income", "label": "Income"})
    X = pd.DataFrame({"income": [5.0] * 6})
    assert named(of, X, [0, 0, 1, 1, 2, 2]) == ["income 5", "income 5 (2)", "income 5 (3)"]


LEVELS = ["own", "rent", "missing", "other", None]


@st.composite
def applicants(draw: Any) -> tuple[pd.DataFrame, np.ndarray]:
    """Applicants with a skewed number, a number with nulls, a flag and a category, in clusters."""
    rows = draw(st.integers(8, 60))

    def column(values: st.SearchStrategy) -> list:
        return list(draw(st.lists(values, min_size=rows, max_size=rows)))

    numbers = st.sampled_from([np.nan, 0.0, 0.0, 1.0, 2.5, 40.0, 1e6])
    X = pd.DataFrame(
        {
            "income": column(st.floats(-1e6, 1e6)),
            "arrears": column(numbers),
            "flag": column(st.sampled_from([0.0, 1.0, np.nan])),
            "home": of_texts(*column(st.sampled_from(LEVELS))),
        }
    )
    clusters = np.array(column(st.integers(0, draw(st.integers(0, 7)))))
    return X, np.unique(clusters, return_inverse=True)[1]


def true_of(phrase: str, X: pd.DataFrame) -> pd.Series:
    """Recompute from the words alone of which applicants a phrase is true."""
    if phrase == MIXED:
        return pd.Series(True, X.index)
    if phrase in ("most are insured", "most are not insured"):
        return X["flag"] == (0.0 if "not" in phrase else 1.0)
    name = next(name for name in ("income", "arrears", "insured", "home") if name in phrase)
    values = X["flag" if name == "insured" else name]
    if phrase.endswith(f"{name} missing"):
        return values.isna()
    if name == "home":
        return values.isin([each.strip("'") for each in phrase.removeprefix("home ").split(" or ")])
    low, middle, high = (values.dropna().quantile(q) for q in (1 / 3, 1 / 2, 2 / 3))
    size, _, rest = phrase.partition(" ")
    if size == "most":
        return values == (0.0 if rest.startswith("without") else 1.0)
    if size == name:
        shown = float(rest.removesuffix(" EUR").replace(",", ""))
        return pd.Series(np.isclose(values, shown, rtol=1e-9, atol=0))
    return {
        "high": values > high,
        "low": values < low,
        "middling": (low <= values) & (values <= high),
        "higher": values > middle,
        "lower": values < middle,
    }[size]


@given(applicants())
@settings(max_examples=150, deadline=None)
def test_names_are_unique_and_every_phrase_is_true_of_most_members(
    drawn: tuple[pd.DataFrame, np.ndarray],
) -> None:
    X, clusters = drawn
    of = with_columns(
        {"name": "income", "label": "Income", "unit": "EUR"},
        {"name": "arrears", "label": "Arrears"},
        {"name": "flag", "label": "Insured"},
        {"name": "home", "label": "Home", "type": "category", "open_levels": True},
    )
    names = named(of, X, clusters)
    assert len(set(names)) == len(names)
    for number, name in enumerate(names):
        for phrase in re.sub(r" \(\d+\)$", "", name).split(", "):
            is_true = true_of(phrase, X)[clusters == number]
            assert is_true.mean() > 0.5, (name, phrase)


def test_second_phrase_tells_something_new_and_traits_have_the_shares() -> None:
    """Amount repeats the value of the property, so the income comes before it."""
    of = with_columns(
        {"name": "value", "label": "Value"},
        {"name": "amount", "label": "Amount"},
        {"name": "income", "label": "Income"},
    )
    dice = np.random.default_rng(3)
    value = np.arange(400.0)
    clusters = (value >= 200).astype(int)
    income = np.where(dice.random(400) < 0.7, value, 399 - value)
    X = pd.DataFrame({"value": value, "amount": value + dice.normal(0, 20, 400), "income": income})
    assert named(of, X, clusters) == ["lower value, lower income", "higher value, higher income"]
    first = describe_traits(told(of, X, clusters)[0])
    assert [each["phrase"] for each in first[:2]] == ["lower value", "lower income"]
    is_low = income < np.median(income)
    assert first[1]["share"] == pytest.approx(is_low[clusters == 0].mean())
    assert first[1]["others"] == pytest.approx(is_low[clusters == 1].mean())
