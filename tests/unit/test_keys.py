"""A key of several columns is one text, and no two lists of parts have the same one."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_file_formats import declared

from loan_scoring.contract import Column, Contract
from loan_scoring.errors import InputError
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.keys import joined_keys, key_parts
from loan_scoring.ingest.row_rules import RowRules
from loan_scoring.scoring.fields import typed_applications

KEY = Column(source=["nr", "sub"], name="loan_id", label="Nr", type="text", known="application")
PAIR = {"source": ["nr", "sub"], "type": "text"}

parts = st.text("a1:\\\\ |é", max_size=4)
pairs = st.tuples(parts, parts)


def joined(*rows: tuple[str, str]) -> list[str]:
    columns = [pa.array([row[place] for row in rows], pa.string()) for place in (0, 1)]
    return joined_keys(KEY, columns).to_pylist()


@given(pairs, pairs)
def test_two_different_pairs_never_give_the_same_key(one: Any, other: Any) -> None:
    first, second = joined(one, other)
    assert joined(one) == [first]  # the neighbour does not matter
    trimmed = [tuple(part.strip() for part in pair) for pair in (one, other)]
    if all(all(pair) for pair in trimmed):
        assert (first == second) is (trimmed[0] == trimmed[1])
        assert key_parts(first, 2) == list(trimmed[0])
    else:
        assert not (first and second)


def rows_of(contract: Contract, **columns: list[str]) -> tuple[pa.Table, list[Any]]:
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    block = Block(table, np.arange(2, 2 + table.num_rows), [])
    return RowRules(contract).apply(block)


def test_each_part_obeys_the_rules_of_a_key() -> None:
    contract = declared(key=PAIR | {"null_tokens": ["n/a"]})
    accepted, rejected = rows_of(
        contract,
        nr=["1", "1 ", "8.12E+11", "n/a", "1"],
        sub=["2", " 2", "1", "1", ""],
        amount=["1"] * 5,
    )
    assert accepted.column("loan_id").to_pylist() == ["1:2"]
    assert [each.rules for each in rejected] == [
        ["duplicate_key:loan_id"],
        ["exponent_key:loan_id"],
        ["null_key:loan_id"],
        ["null_key:loan_id"],
    ]


@pytest.mark.parametrize("value", [["1", "2"], [1, 2], "1:2", ["1 ", 2]])
def test_a_request_gives_the_parts_or_the_joined_key(value: Any) -> None:
    contract = declared(key=PAIR)
    table = typed_applications(contract, [{"loan_id": value, "amount_eur": 5}])
    assert table.column("loan_id").to_pylist() == ["1:2"]


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("1", "not_a_key"), ("1:2:3", "not_a_key"), (12, "not_a_key"), (["1"], "not_a_key"),
        (None, "null_key"), ([None, 2], "null_key"), ([True, 2], "not_plain"),
        ({"nr": 1}, "not_plain"), (["\0", 2], "encoding"), ([2.0**60, 2], "exponent_key"),
    ],
)  # fmt: skip
def test_a_request_with_another_key_is_refused(value: Any, rule: str) -> None:
    contract = declared(key=PAIR)
    with pytest.raises(InputError) as refused:
        typed_applications(contract, [{"loan_id": value, "amount_eur": 5}])
    assert [(fault.field, fault.rule) for fault in refused.value.faults] == [("loan_id", rule)]


def test_a_request_chooses_a_key_that_files_make_from_their_rows() -> None:
    contract = declared(key={"source": None, "made_from": "line", "type": "text"})
    table = typed_applications(contract, [{"loan_id": "asked-1", "amount_eur": 5}])
    assert table.column("loan_id").to_pylist() == ["asked-1"]


def test_keys_made_from_rows_do_not_depend_on_neighbours_or_format() -> None:
    contract = declared(key={"source": None, "made_from": "row", "type": "uuid"})
    both, _ = rows_of(contract, amount=["1", "2"])
    alone, _ = rows_of(contract, amount=["2"])
    assert both.column("loan_id")[1] == alone.column("loan_id")[0]
