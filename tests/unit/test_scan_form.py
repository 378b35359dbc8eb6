"""The form's layout, and what makes a reading doubtful. Nothing here needs the extra."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from loan_scoring import contract as contracts
from loan_scoring.contract import Contract
from loan_scoring.errors import StateError
from loan_scoring.scans.check_digits import with_check_digits, without_check_digits
from loan_scoring.scans.doubts import doubt_words
from loan_scoring.scans.fields import judge_page
from loan_scoring.scans.layout import form_layout
from loan_scoring.scans.levels import nearest_level
from loan_scoring.scans.recognise import Reading
from scan_texts import TEXTS


def judged(contract: Contract, second: dict[str, str] | None = None, **texts: str) -> Any:
    """Return the page of TEXTS with other readings in some boxes."""
    layout = form_layout(contract)
    readings = []
    for box in layout.boxes:
        name = box.column.name
        text = texts.get(name, TEXTS[name])
        readings.append(Reading(text, (second or {}).get(name, text), 0.99, bool(text), False))
    return judge_page(contract, layout, readings)


def with_form(contract: Contract, **form: Any) -> Contract:
    return contracts.Contract(**(contract.model_dump() | {"scan_form": form}))


def test_a_page_without_a_doubt_passes(loan_default: Contract) -> None:
    page = judged(loan_default)
    assert page.doubtful == []
    assert page.key == 25591
    assert {name: each.text for name, each in page.fields.items()} == TEXTS


@pytest.mark.parametrize(
    ("column", "read", "doubt"),
    [
        ("loan_amount_usd", "346.500", "notation"),
        ("loan_amount_usd", "346,500", "notation"),
        ("income_usd_per_month", "S040", "notation"),
        ("credit_score", "1698", "row_rule:out_of_range"),
        ("age_band", "45.54", "no_level"),
        ("loan_purpose", "p8", "level"),
        ("region", "Atlantis", "no_level"),
        ("loan_id", "", "row_rule:null_key"),
    ],
)
def test_rules_find_what_confidence_does_not(
    loan_default: Contract, column: str, read: str, doubt: str
) -> None:
    """All readings here have a confidence of 0.99, and both readings agree."""
    found = judged(loan_default, **{column: read}).fields[column]
    accepted = {"no_level": {"no_level", "level"}}.get(doubt, {doubt})
    assert accepted & {*found.doubts}, found


def test_a_wrong_amount_makes_the_whole_ratio_doubtful(loan_default: Contract) -> None:
    page = judged(loan_default, loan_amount_usd="546500")
    assert {*page.doubtful} == {"loan_amount_usd", "property_value_usd", "ltv_percent"}


def test_what_two_readings_do_not_share_waits(loan_default: Contract) -> None:
    page = judged(loan_default, {"income_usd_per_month": "6040"})
    assert page.fields["income_usd_per_month"].doubts == ("two_readings",)


def test_a_level_that_looks_alike_is_taken_with_its_cost(loan_default: Contract) -> None:
    found = judged(loan_default, {"loan_type": "type1"}, loan_type="typel").fields["loan_type"]
    assert (found.text, found.read, found.cost, found.doubts) == ("type1", "typel", 0.2, ())


def test_an_empty_box_is_null(loan_default: Contract) -> None:
    page = judged(loan_default, income_usd_per_month="")
    assert page.doubtful == []
    assert page.fields["income_usd_per_month"].text == ""


def test_check_digits_find_every_wrong_digit_and_swap() -> None:
    for number in ("346500", "25591", "98", "99.44029851", "A-17"):
        written = with_check_digits(number)
        assert without_check_digits(written) == (number, True)
        for place, digit in itertools.product(range(len(number)), "0123456789"):
            wrong = number[:place] + digit + number[place + 1 :]
            if wrong != number and number[place].isdigit():
                assert without_check_digits(wrong + written[len(number) :]) == (wrong, False)
        swapped = number[1] + number[0] + number[2:]
        if swapped != number:
            assert not without_check_digits(swapped + written[len(number) :])[1]


def test_a_field_with_check_digits_waits_if_they_do_not_fit(loan_default: Contract) -> None:
    contract = with_form(loan_default, check_digits=["income_usd_per_month"])
    right = judged(contract, income_usd_per_month=with_check_digits("5040"))
    assert right.doubtful == []
    assert right.fields["income_usd_per_month"].text == "5040"
    wrong = judged(contract, income_usd_per_month="6040" + with_check_digits("5040")[4:])
    assert wrong.fields["income_usd_per_month"].doubts == ("check_digits",)


def test_a_lost_letter_is_never_certain() -> None:
    """`nopre` without `no` is another level: the two readings must agree on it."""
    assert nearest_level("opc", ["nopc", "opc"]) is not None
    found = nearest_level("nop", ["nopc", "opc"])
    assert found is not None
    assert not found.is_certain


def test_every_doubt_has_words(loan_default: Contract) -> None:
    layout = form_layout(loan_default)
    bad = Reading("", "x", 0.1, has_ink=True, is_cut_off=True)
    page = judge_page(loan_default, layout, [bad] * len(layout.boxes))
    for each in page.fields.values():
        assert all(doubt_words(doubt) for doubt in each.doubts)


def test_another_place_of_a_box_is_another_form(loan_default: Contract) -> None:
    layout = form_layout(loan_default)
    fewer = form_layout(with_form(loan_default, columns=["loan_id", "income_usd_per_month"]))
    assert layout.code != fewer.code
    assert layout.code == form_layout(loan_default).code
    assert len(layout.code) == 8
    for box, other in itertools.combinations(layout.boxes, 2):
        apart = box.left + box.width <= other.left or other.left + other.width <= box.left
        assert (
            apart or box.top + box.height < other.top - 3 or other.top + other.height < box.top - 3
        )
    assert replace(layout, title="x").code == layout.code


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"columns": ["income_usd_per_month"]}, "loan_id is missing"),
        ({"columns": ["loan_id", "x"]}, "no column of the file is named 'x'"),
        ({"columns": ["loan_id", "interest_rate_percent"]}, "is not known at application"),
        ({"columns": ["loan_id", "loan_id"]}, "column 'loan_id' is listed twice"),
        ({"columns": ["loan_id"], "labels": {"region": "R"}}, "region is not on the form"),
        ({"boxes": {"loan_id": [20, 40, 80, 8]}}, "application_year has no box"),
        ({"columns": ["loan_id"], "boxes": {"loan_id": [200, 40, 80, 8]}}, "at least 10 x 5 mm"),
    ],
)
def test_a_form_that_does_not_fit_is_refused(
    loan_default: Contract, form: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        with_form(loan_default, **form)


def test_a_portfolio_without_a_form_says_how_to_get_one() -> None:
    with pytest.raises(StateError, match=r"add `scan_form: .* to its contract"):
        form_layout(contracts.load("credit_data"))
