"""A column's fields fit its type, and a contract without the later fields stays the same."""

import json
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from loan_scoring.contract import (
    Column,
    Contract,
    MonitoringPolicy,
    outcome_rules_sha256,
    row_rules_sha256,
)
from loan_scoring.contract.presence import split_columns_of_file
from loan_scoring.models.baseline import fit_column_baseline
from loan_scoring.models.encoding import Encoder, feature_frame, split_columns
from loan_scoring.models.training.candidates import build_candidate, declared_trials
from loan_scoring.models.training.rows import fingerprint_of
from loan_scoring.monitoring.drift.compare import BaselineColumn, compare_column

LATER = {"format", "decimal", "thousands", "currency", "is_true", "is_false", "max_levels",
         "level_labels", "ignore_case", "stored_only", "optional", "since", "retired"}  # fmt: skip


def column(**fields: Any) -> Column:
    common = {"source": "c", "name": "c", "label": "C", "known": "application"}
    return Column.model_validate(common | fields)


def contract(*columns: dict[str, Any], **fields: Any) -> Contract:
    common = {"label": "C", "known": "application"}
    return Contract.model_validate(
        {
            "portfolio": "lender", "title": "t", "owner": "o",
            "target": {"source": "status", "positive": ["bad"], "negative": ["paid"]},
            "decision": {"approve_below": 0.1, "decline_from": 0.3},
            "columns": [
                common | {"source": each["name"]} | each
                for each in ({"name": "loan_id", "type": "integer"}, *columns)
            ],
        }
        | fields
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": "category", "levels": ["a"], "decimal": ","}, "only a number has decimal"),
        ({"type": "number", "thousands": "."}, "thousands and decimal are both '.'"),
        ({"type": "number", "thousands": "00"}, "does not separate digits"),
        ({"type": "money", "currency": "5"}, "no sign of a currency"),
        ({"type": "text", "is_true": ["Y"]}, "only a boolean has is_true"),
        ({"type": "boolean", "is_true": ["Y"]}, "is_true and is_false go together"),
        ({"type": "boolean", "is_true": ["Y"], "is_false": ["y"], "ignore_case": True}, "'y' is"),
        ({"type": "number", "ignore_case": True}, "only a category or a boolean has ignore_case"),
        ({"type": "category", "levels": ["a", "A"], "ignore_case": True}, "without regard to"),
        ({"type": "category", "levels": ["a"], "max_levels": 5}, "max_levels needs levels: free"),
        ({"type": "category", "levels": ["a"], "level_labels": {"b": "B"}}, "'b' is not a level"),
        ({"type": "category", "levels": ["a", "b"], "level_labels": {"a": "b"}}, "two levels"),
        ({"type": "date", "format": "%d.%m"}, "needs a year"),
        ({"type": "date", "format": "%d %Y"}, "needs one month"),
        ({"type": "date", "format": "%Y-%j"}, "%j is not known"),
        ({"type": "date", "format": "%Y-%m-%d %H:%M"}, "has a time of day"),
        ({"type": "date", "format": "unix_seconds"}, "use type: datetime"),
        ({"type": "datetime", "format": "%Y-%m-%d %I:%M"}, "by %I and %p"),
        ({"type": "integer", "format": "%Y"}, "only a date or datetime has format"),
        ({"type": "date", "range": [1, 2]}, "range: a date has dates"),
        ({"type": "number", "range": [date(2020, 1, 1), None]}, "range: a number has numbers"),
        ({"type": "boolean", "range": [0, 1]}, "only a number or a date has range"),
        ({"type": "date", "range": [date(2021, 1, 1), date(2020, 1, 1)]}, "out of order"),
        ({"type": "number", "optional": True, "since": "2026-01-01"}, "leave out since"),
        ({"type": "number", "since": "2026-02-01", "retired": "2026-01-01"}, "is not after since"),
        ({"type": "date", "margin": {"quantiles": [1, 2, 3, 4, 5, 6, 7]}}, "of its type"),
    ],
)
def test_fields_that_do_not_fit_are_named(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        column(**fields)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ({"type": "money"}, "must be integer, text or uuid"),
        ({"thousands": ","}, "the key is digits only"),
        ({"optional": True}, "every file needs the key"),
    ],
)
def test_the_key_is_plain_and_in_every_file(key: dict[str, Any], reason: str) -> None:
    raw = json.loads(contract({"name": "c", "type": "number"}).model_dump_json())
    raw["columns"][0] |= key
    with pytest.raises(ValidationError, match=reason):
        Contract.model_validate(raw)


def test_a_contract_without_later_fields_keeps_its_hashes() -> None:
    plain = contract(
        {"name": "c", "type": "number", "range": [0, 5]},
        {"name": "d", "type": "category", "levels": ["a"], "open_levels": True},
    )
    assert not LATER & {name for each in plain.model_dump()["columns"] for name in each}
    table = pa.table({"c": [1.0]})
    # The hashes of release 0.1.0.
    assert row_rules_sha256(plain)[:12] == "f336df4fa5f8"
    assert outcome_rules_sha256(plain)[:12] == "ba7ffbbb9cee"
    assert fingerprint_of(plain, table)[:12] == "81b030f2285f"


@pytest.mark.parametrize(
    ("fields", "is_rule"),
    [
        ({"decimal": ","}, True), ({"thousands": "'"}, True), ({"currency": "$"}, True),
        ({"type": "money"}, True), ({"stored_only": True}, False), ({"optional": True}, False),
    ],
)  # fmt: skip
def test_a_changed_notation_is_a_changed_rule(fields: dict[str, Any], is_rule: bool) -> None:
    before = contract({"name": "c", "type": "number"})
    after = contract({"name": "c", "type": "number"} | fields)
    assert (row_rules_sha256(before) != row_rules_sha256(after)) is is_rule


def test_the_time_zone_is_a_rule_of_times_only() -> None:
    def rules(type_: str, zone: str) -> str:
        return row_rules_sha256(
            contract({"name": "c", "type": type_}, schedules={"timezone": zone})
        )

    assert rules("datetime", "UTC") != rules("datetime", "Europe/Berlin")
    assert rules("date", "UTC") == rules("date", "Europe/Berlin")


def test_a_file_has_the_columns_of_its_date() -> None:
    by = contract(
        {"name": "new", "type": "number", "since": "2026-03-01"},
        {"name": "old", "type": "number", "retired": "2026-04-01"},
        {"name": "any", "type": "number", "optional": True},
    )
    assert split_columns_of_file(by, "history") == (["loan_id", "old", "status"], ["new", "any"])
    assert split_columns_of_file(by, "2026-02-28") == (["loan_id", "old"], ["new", "any"])
    assert split_columns_of_file(by, "2026-03-01") == (["loan_id", "new", "old"], ["any"])
    assert split_columns_of_file(by, "2026-04-01") == (["loan_id", "new"], ["old", "any"])


# Levels


@pytest.mark.parametrize("place", range(4))
def test_rare_and_later_levels_are_one_group_and_encoded_alike(place: int) -> None:
    by = contract(
        {"name": "town", "type": "category", "levels": "free", "max_levels": 4},
        {"name": "job", "type": "category", "levels": ["x", "y"]},
        {"name": "owns", "type": "boolean"},
        training={"candidates": {
            "logistic_regression": [{"C": 1}], "random_forest": [{"n_estimators": 3}],
            "hist_gradient_boosting": [{"max_iter": 3}], "xgboost": [{"n_estimators": 3}]}},
    )  # fmt: skip
    trial = declared_trials(by)[place]
    towns = ["a"] * 90 + ["b"] * 80 + ["c"] * 70 + ["d"] * 19 + ["e"] * 19 + [None] * 40
    rows = len(towns)
    train = pa.table({
        "town": towns, "job": ["x", "y"] * (rows // 2),
        "owns": [row % 3 > 1 for row in range(rows)],
    })  # fmt: skip
    features = ["town", "job", "owns"]
    pipeline = build_candidate(by, features, trial)
    pipeline.fit(feature_frame(train, by, features), np.arange(rows) % 2)
    night = pa.table({
        "town": ["a", "b", "c", "d", "e", "new", "newer", None], "job": ["x"] * 8,
        "owns": [True] * 8,
    })  # fmt: skip
    encoded = Encoder(pipeline[0]).encode(split_columns(night, by, features))
    expected = np.asarray(pipeline[0].transform(feature_frame(night, by, features)), dtype=float)
    np.testing.assert_array_equal(encoded, expected)
    first, *_, null = found = [tuple(row) for row in np.nan_to_num(expected, nan=-1).tolist()]
    assert len({*found[:3]}) == 3
    assert len({*found[3:7]}) == 1, "rare and unseen levels are one group"
    assert len({first, found[3], null}) == 3, "and a null is none of them"


def test_drift_watches_the_groups_that_models_read() -> None:
    policy = MonitoringPolicy()
    base = pa.chunked_array([["a"] * 500 + ["b"] * 300 + [f"town {n}" for n in range(200)]])
    frozen = fit_column_baseline(base, 10, 2)
    assert frozen["levels"] == ["a", "b"]
    assert frozen["other"] == 200
    fitted = BaselineColumn.fit(frozen, base)

    def tested(values: list[str]) -> dict[str, float]:
        found = compare_column("town", policy, fitted, pa.chunked_array([values]))
        return {test.name: test.effect for test in found.tests}

    same = tested(["a"] * 50 + ["b"] * 30 + [f"other {n}" for n in range(20)])
    assert "unseen_levels" not in same
    assert same["chi_square"] == pytest.approx(0)
    assert tested([f"other {n}" for n in range(100)])["chi_square"] == pytest.approx(0.8)
