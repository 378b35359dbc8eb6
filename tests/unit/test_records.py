"""`loan` shows an application in the contract's order, however long its labels are."""

from loan_scoring.cli.records import _application_lines


def test_values_stand_apart_in_the_contracts_order_and_missing_ones_in_one_line() -> None:
    long = "Number of accounts that were opened in the past 24 months"
    labels = {"z": "Zeal", "b": long, "a": "Age", "c": "City"}
    lines = _application_lines({"a": None, "b": 3, "c": None, "z": 1}, labels)
    assert [line.split()[0] for line in lines] == ["Zeal", "Number", "missing:"]
    assert lines[1].endswith(f"{long}  3")
    assert lines[0].index("1") == lines[1].index("3", 3 + len(long))
    assert lines[2] == "  missing: Age, City"
