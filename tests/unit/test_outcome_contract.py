"""Outcomes and protected bands in a contract: what is declared, and what it changes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from loan_scoring import contract as contracts
from loan_scoring.contract import Contract, same_text
from loan_scoring.errors import ContractError

COLUMNS = [
    {"source": "nr", "name": "loan_id", "label": "Nr", "type": "integer", "known": "application"},
    {"source": "amount", "name": "amount_eur", "label": "A", "type": "number",
     "known": "application"},
    {"source": "age", "name": "age_years", "label": "Age", "type": "integer",
     "known": "application"},
]  # fmt: skip
TARGET = {"source": "status", "positive": ["bad"], "negative": ["paid"]}
BUSINESS = {"amount": "amount_eur"}


def read(folder: Path, **changes: Any) -> Contract:
    raw = {
        "portfolio": "lender", "title": "t", "owner": "o", "columns": COLUMNS, "target": TARGET,
        "decision": {"approve_below": 0.1, "decline_from": 0.3},
    } | changes  # fmt: skip
    path = folder / "lender.yaml"
    path.write_text(yaml.safe_dump(raw))
    return contracts.read(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": TARGET | {"open": ["bad"]}},
         "target: value 'bad' is in both positive and open"),
        ({"target": TARGET | {"positive": ["1"], "negative": ["1.0"]}},
         "target: value '1' of positive and value '1.0' of negative are the same number"),
        ({"outcomes": {"keys": "nr"}}, "outcomes.keys: there is no such field"),
        ({"outcomes": {"key": "x", "target": "x"}}, "two fields are read from the column 'x'"),
        ({"outcomes": {"key": ""}}, "outcomes.key: the name of a column is empty"),
        ({"outcomes": {"recovered": {"source": "r"}}}, "outcomes.recovered: declare business too"),
        ({"business": BUSINESS, "outcomes": {"recovered": {
            "source": "r", "decimal": ",", "thousands": ","}}},
         "outcomes.recovered: decimal and thousands are both ','"),
        ({"business": BUSINESS, "outcomes": {"recovered": {"source": "r", "currency": "5"}}},
         "outcomes.recovered: currency: '5' is no sign of a currency"),
        ({"outcomes": {"encoding": "klingon"}}, "outcomes.encoding: 'klingon' is not a text codec"),
        ({"outcomes": {"key": ["a", "b"]}}, "outcomes.key: it is a list, so the type of the key"),
        ({"outcomes": {"header": False, "key": 1}}, "outcomes: 'status' is a name, but files of"),
        ({"outcomes": {"header": False, "ignore_case": True, "key": 1, "target": 2}},
         "outcomes: ignore_case: there are no names without a header"),
        ({"protected": ["age_years", "age_years"]}, "'age_years' is listed twice"),
        ({"protected": [{"column": "age_years", "bands": [40, 30]}]},
         "protected.0.bands: bands are out of order"),
        ({"protected": [{"column": "income", "bands": [40]}]}, "no column is named 'income'"),
        ({"protected": ["age_years"], "promotion": {"fairness": {"attributes": ["age_years"]}}},
         "age_years has no groups; give its bands under protected"),
        ({"promotion": {"first_model": {"min_auc": 0.4}}}, "promotion.first_model.min_auc"),
    ],
)  # fmt: skip
def test_mistakes_are_named_in_one_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ContractError) as caught:
        read(tmp_path, **changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("1", "1.0", True), ("1", " 01", True), ("1", "1e0", True), ("0", "-0.0", True),
        ("1", "1.01", False), ("1", "\u0661", False), ("10", "1_0", False), ("nan", "NaN", False),
        ("1e400", "1e401", False), ("0.1", ".10", True), ("paid", "Paid", False),
        ("9007199254740993", "9007199254740992", False),
    ],
)  # fmt: skip
def test_texts_that_are_numbers_compare_as_numbers(first: str, second: str, is_same: bool) -> None:
    assert (same_text(first) == same_text(second)) is is_same


def test_every_field_of_outcomes_is_a_rule_of_their_files(tmp_path: Path) -> None:
    plain = read(tmp_path)
    hashes = {contracts.outcome_rules_sha256(plain)}
    for changes in (
        {"target": TARGET | {"open": [""]}},
        {"outcomes": {"key": "id"}},
        {"outcomes": {"target": "state"}},
        {"outcomes": {"encoding": "latin-1"}},
        {"outcomes": {"delimiter": "blank"}},
        {"outcomes": {"header": False, "key": 1, "target": 2}},
        {"outcomes": {"observed_on": {"source": "day"}}},
        {"outcomes": {"observed_on": {"source": "day", "format": "%d.%m.%Y"}}},
        {"outcomes": {"observed_on": {"source": "day", "format": ["%d.%m.%Y", "%b-%Y"]}}},
        {"outcomes": {"recovered": {"source": "r"}}, "business": BUSINESS},
        {"outcomes": {"recovered": {"source": "r", "decimal": ","}}, "business": BUSINESS},
    ):
        changed = read(tmp_path, **changes)
        hashes.add(contracts.outcome_rules_sha256(changed))
        assert contracts.row_rules_sha256(changed) == contracts.row_rules_sha256(plain)
    assert len(hashes) == 12
    assert contracts.target_sha256(plain) != contracts.target_sha256(
        read(tmp_path, target=TARGET | {"open": [""]})
    )


def test_contract_without_the_new_fields_is_written_as_before(tmp_path: Path) -> None:
    text = read(tmp_path, protected=["age_years"]).model_dump_json()
    for field in ('"open"', '"outcomes":{', "first_model", "bands"):
        assert field not in text
    assert '"protected":["age_years"]' in text


def test_bands_make_groups_in_order(tmp_path: Path) -> None:
    contract = read(tmp_path, protected=[{"column": "age_years", "bands": [25, 65.5]}])
    assert contract.protected_names == contract.fairness_attributes == ["age_years"]
    assert contract.group_rule("age_years").order == [
        "under 25", "25 to under 65.5", "65.5 and more",
    ]  # fmt: skip
    assert "age_years" not in [column.name for column in contract.features]
    assert Contract.model_validate(contract.model_dump()) == contract
