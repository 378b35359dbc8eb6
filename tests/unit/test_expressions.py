"""Expressions of features: what they compute, what they refuse, and that each row stands alone."""

from contextlib import suppress
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from loan_scoring.contract import Contract
from loan_scoring.contract.expressions import ExpressionError, parse
from loan_scoring.contract.language import Operand
from loan_scoring.features.compute import compute_features
from loan_scoring.features.functions import FUNCTIONS

OPERANDS = {
    "amount": Operand("amount", "number"),
    "income": Operand("income", "number"),
    "months": Operand("months", "number"),
    "is_new": Operand("is_new", "boolean"),
    "job": Operand("job", "text", ("fixed", "free")),
    "town": Operand("town", "text"),
    "applied": Operand("applied", "date"),
    "born": Operand("born", "date"),
}
ROW: dict[str, Any] = {
    "amount": 9000.0,
    "income": 1500.0,
    "months": 24,
    "is_new": True,
    "job": "free",
    "town": "Łódź 90-001",
    "applied": date(2024, 2, 29),
    "born": date(1990, 3, 31),
}
TYPES = {
    "amount": pa.float64(), "income": pa.float64(), "months": pa.int64(), "is_new": pa.bool_(),
    "job": pa.string(), "town": pa.string(), "applied": pa.date32(), "born": pa.date32(),
}  # fmt: skip


def contract_of(*expressions: str, **fields: Any) -> Contract:
    """Return a contract with features f0, f1 ... of the columns that this release has."""

    def column(name: str, type_: str, **more: Any) -> dict[str, Any]:
        common = {"source": name, "name": name, "label": name, "known": "application"}
        return common | {"type": type_} | more

    return Contract.model_validate(
        {
            "portfolio": "expressions", "title": "t", "owner": "o",
            "target": {"source": "status", "positive": ["bad"], "negative": ["paid"]},
            "decision": {"approve_below": 0.1, "decline_from": 0.3},
            "columns": [
                column("loan_id", "integer"),
                column("amount", "number"),
                column("income", "number"),
                column("months", "integer"),
                column("age", "integer"),
                column("rate", "number", known="pricing"),
                column("job", "category", levels=["fixed", "free"]),
                column("town", "category", open_levels=True),
            ],
            "protected": ["age"],
            "features": [
                {"name": f"f{place}", "label": f"F {place}", "expression": each}
                for place, each in enumerate(expressions)
            ],
        } | fields
    )  # fmt: skip


def evaluate(expression: str, **changes: Any) -> Any:
    """Return the value of an expression for ROW with changes, computed as features are."""
    from loan_scoring.features import compute

    row = ROW | changes
    table = pa.table({name: pa.array([row[name]], type_) for name, type_ in TYPES.items()})
    found = compute._evaluate(parse(expression, OPERANDS), table, "Europe/Berlin", {})
    return found.to_pylist()[0] if isinstance(found, pa.Array) else found.as_py()


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("amount / income", 6.0),
        ("-amount + 2 * (income - 1)", -6002.0),
        ("amount / (income - 1500)", None),  # a division by zero
        ("0 / (income - 1500)", None),
        ("1e308 * amount", None),  # an overflow
        ("1 / (1e308 * amount)", None),  # and not 1 / infinity
        ("log(amount - 9000)", None),
        ("log(0 - amount)", None),
        ("log(1)", 0.0),
        ("abs(0 - amount)", 9000.0),
        ("min(amount, income, months)", 24.0),
        ("max(amount, income)", 9000.0),
        ("round(2.5)", 3.0),
        ("round(0 - 2.5)", -3.0),
        ("round(1234.567, 2)", 1234.57),
        ("round(amount, -4)", 10000.0),
        ("round(1e300, 15)", 1e300),
        ("1000 < income <= 1500", True),
        ("amount == 9000 and not is_new", False),
        ("is_new or amount > 1e9", True),
        ("if(is_new, 'new', 'old')", "new"),
        ("if(amount > 0, amount, null)", 9000.0),
        ("coalesce(null, income)", 1500.0),
        ("is_null(town)", False),
        ("level_in(job, ['free'])", True),
        ("level_in(months, [12, 24])", True),
        ("job == 'fixed'", False),
        ("job != town", True),
        ("bucket(months, [12, 24, 36])", "24 to 36"),
        ("bucket(months, [36])", "below 36"),
        ("bucket(amount, [1000, 9000])", "9,000 or more"),
        ("number_in(town)", 90.0),
        ("upper(left(town, 2))", "ŁÓ"),
        ("lower(town)", "łódź 90-001"),
        ("year(applied) * 100 + month(applied)", 202402.0),
        ("months_between(applied, born)", 407.0),  # 29 February is the last day of its month
        ("months_between(born, applied)", -407.0),
        ("years_between(applied, born)", 33.0),
        ("days_between(applied, born)", 12388.0),
        ("applied > born", True),
        ("'if' == left(town, 2)", False),
        ("amount\n / income", 6.0),
    ],
)
def test_expressions_compute(expression: str, value: Any) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("amount / income", None),
        ("amount > income", None),
        ("min(amount, income)", None),
        ("if(income > 0, 'a', 'b')", None),
        ("level_in(income, [1])", None),
        ("bucket(income, [1])", None),
        ("round(income)", None),
        ("is_null(income)", True),
        ("coalesce(income, amount)", 9000.0),
        ("if(is_null(income), 0, income)", 0.0),
        ("if(is_new, amount, income)", 9000.0),  # only the chosen branch counts
        ("income > 0 and amount < 0", False),
        ("income > 0 and amount > 0", None),
        ("income > 0 or amount > 0", True),
        ("not income > 0", None),
    ],
)
def test_a_null_gives_null_where_nothing_else_is_said(expression: str, value: Any) -> None:
    assert evaluate(expression, income=None) == value


@pytest.mark.parametrize(
    ("text", "number"),
    [("10+ years", 10.0), ("< 1 year", 1.0), ("n/a", None), ("-5.5", -5.5), ("x -2", -2.0),
     ("A-12", 12.0), ("1.2.3", 1.2), ("9" * 400, None), ("٣", None), ("", None)],
)  # fmt: skip
def test_the_first_number_in_a_text(text: str, number: float | None) -> None:
    assert evaluate("number_in(town)", town=text) == number


def test_an_overflow_of_a_rounding_keeps_the_number() -> None:
    assert evaluate("round(amount, 15)", amount=1.7e308) == 1.7e308


@pytest.mark.parametrize(
    ("expression", "position", "reason"),
    [
        ("amount / incme", 10, "no column 'incme'"),
        ("  amount + job", 12, "a number is needed here, found: job is a text"),
        ("amount > 'a'", 10, "a number is needed"),
        ("job < 'a'", 1, "has no order"),
        ("job == 'fixd'", 8, "'fixd' is not a level of job"),
        ("level_in(job, ['fixed', 'fre'])", 15, "'fre' is not a level"),
        ("amount == null", 1, "is_null"),
        ("amount + null", 10, "found: null"),
        ("if(amount, 1, 2)", 4, "a boolean is needed"),
        ("if(is_new, 1, 'a')", 15, "a number is needed"),
        ("if(is_new, null, null)", 1, "besides null"),
        ("bucket(amount, [2, 1])", 16, "must ascend"),
        ("bucket(amount, [2, income])", 20, "constants"),
        ("bucket(amount, income)", 16, "a list of constants"),
        ("left(town, 0)", 12, "whole number from 1"),
        ("round(amount, income)", 15, "whole number"),
        ("min(amount)", 1, "takes 2 arguments"),
        ("open('x')", 1, "no function 'open'"),
        ("amount.real", 1, "only columns"),
        ("amount ** 2", 1, "only columns"),
        ("().__class__", 1, "only columns"),
        ("(lambda: 1)()", 1, "cannot be called"),
        ("[1 for x in town]", 1, "only columns"),
        ("min(*town, 1)", 5, "only columns"),
        ("round(amount, digits=2)", 1, "no function 'round'"),
        ("amount if is_new else 2", 8, "not an expression"),
        ("amount in [1]", 1, "level_in"),
        ("f'{amount}'", 1, "only columns"),
        ("1 +", 4, "not an expression"),
        ("amount # / income", 8, "# is not allowed"),
        ("'ö' == left(town, 1) and amoun", 26, "no column 'amoun'"),
        ("1e999 * amount", 1, "no number"),
        ("True", 1, "write true"),
        ("9" * 400, 1, "no number"),
        ("-" * 60 + "amount", 52, "nested"),
        ("(" * 400 + "amount" + ")" * 400, 1, ""),
    ],
)
def test_a_mistake_is_one_line_with_its_position(
    expression: str, position: int, reason: str
) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse(expression, OPERANDS)
    message = str(refused.value)
    assert "\n" not in message
    assert reason in message
    assert message.startswith(f"position {position}: ") or not reason


@given(st.text("amountincome()[],.+-*/<>=!'\"\\#{} 019if\n_:@&|~%", max_size=60))
def test_any_text_is_an_expression_or_one_error(text: str) -> None:
    with suppress(ExpressionError):
        parse(text, OPERANDS)


numbers = (
    st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0])
)
applications = st.fixed_dictionaries(
    {
        "amount": numbers,
        "income": numbers,
        "months": st.none() | st.integers(-(2**63), 2**63 - 1),
        "is_new": st.none() | st.booleans(),
        "job": st.sampled_from([None, "fixed", "free"]),
        "town": st.none() | st.text(max_size=6),
        "applied": st.none() | st.dates(),
        "born": st.none() | st.dates(),
    }
)
EVERY = [
    "amount / income", "amount * income - months", "log(amount)", "round(amount, 2)",
    "round(amount, -3)", "min(amount, income)", "abs(income)", "amount <= income and is_new",
    "if(is_new, amount, income)", "coalesce(income, amount)", "bucket(amount, [0, 1e6])",
    "number_in(town)", "upper(town)", "lower(town)", "left(town, 2)", "level_in(job, ['free'])",
    "months_between(applied, born)", "years_between(applied, born)", "days_between(applied, born)",
    "year(born)", "month(born)", "is_null(town) or not is_new", "town == job", "max(1, months)",
]  # fmt: skip


@settings(
    deadline=None, max_examples=40
)  # another test may have the cores; each has 24 expressions
@given(st.lists(applications, min_size=1, max_size=8))
def test_a_value_never_depends_on_other_rows(rows: list[dict[str, Any]]) -> None:
    from loan_scoring.features.compute import _column, _evaluate

    def values(chosen: list[dict[str, Any]], expression: str) -> list[Any]:
        table = pa.table(
            {name: pa.array([row[name] for row in chosen], type_) for name, type_ in TYPES.items()}
        )
        found = _column(_evaluate(parse(expression, OPERANDS), table, "UTC", {}), len(chosen))
        return [
            # The sign tells a number from a text such as "inf".
            f"#{value.hex()}" if isinstance(value, float) else value
            for value in found.to_pylist()
        ]

    for expression in EVERY:
        together = values(rows, expression)
        assert together == [values([row], expression)[0] for row in rows]
        assert not any(value in ("#inf", "#-inf", "#nan") for value in together)


@given(st.dates(), st.dates())
def test_completed_months_are_those_of_the_calendar(later: date, earlier: date) -> None:
    months = evaluate("months_between(applied, born)", applied=later, born=earlier)
    assert months == -evaluate("months_between(applied, born)", applied=earlier, born=later)
    if later >= earlier:
        counted = (later.year - earlier.year) * 12 + later.month - earlier.month
        assert months in (counted, counted - 1)
        if later.day >= earlier.day:
            assert months == counted


def test_every_function_of_the_language_is_computed() -> None:
    from loan_scoring.contract.expressions import ARITHMETIC, COMPARISONS
    from loan_scoring.contract.language import FUNCTIONS as DECLARED

    words = {*DECLARED, *ARITHMETIC.values(), *COMPARISONS.values(), "and", "or", "not"}
    assert words == FUNCTIONS.keys()


def test_features_are_columns_of_the_contract() -> None:
    contract = contract_of("amount / income", "if(f0 > 2, 'high', 'low')", "left(town, 2)")
    assert [column.name for column in contract.features][-3:] == ["f0", "f1", "f2"]
    assert contract.by_name["f0"].type == "number"
    assert contract.by_name["f1"].levels == ["high", "low"]
    assert contract.by_name["f2"].open_levels
    table = pa.table(
        {"amount": [9.0, 1.0], "income": [3.0, 0.0], "town": ["Basel", None]},
    )
    found = compute_features(contract, table, ["f1", "f2"])
    assert found.column("f1").to_pylist() == ["high", None]
    assert found.column("f2").to_pylist() == ["Ba", None]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"expression": "amount / rate"}, "reads what pricing says, so no model may use it"),
        ({"expression": "amount / age"}, "reads a protected column, so no model may use it"),
        ({"expression": "1 + 2"}, "reads no column"),
        ({"name": "amount", "expression": "income"}, "'amount' is the name of another column"),
        ({"expression": "loan_id + 1"}, "no column 'loan_id'"),
        ({"name": "Ratio", "expression": "amount"}, "not a valid name"),
    ],
)
def test_a_feature_that_no_model_may_use_is_refused(fields: dict[str, str], reason: str) -> None:
    feature = {"name": "x", "label": "X"} | fields
    with pytest.raises(ValidationError, match=reason):
        contract_of(features=[feature])


def test_a_stored_feature_of_a_later_column_is_kept_from_models() -> None:
    stored = [
        {"name": "spread", "label": "S", "expression": "rate - amount", "stored": True},
        {"name": "band", "label": "B", "expression": "bucket(age, [30])", "stored": True},
    ]
    contract = contract_of(features=stored)
    assert contract.by_name["spread"].known == "pricing"
    assert not {"spread", "band"} & {column.name for column in contract.features}
    assert [column.name for column in contract.stored_features] == ["spread", "band"]
