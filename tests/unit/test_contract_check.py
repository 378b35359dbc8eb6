"""`contract check` shows all mistakes at once, and what a file would give."""

import json
from pathlib import Path

import pytest
from test_contract import MISTAKES, TEXT

from loan_scoring.cli.main import main
from loan_scoring.drafting.draft import draft_contract
from loan_scoring.drafting.mistakes import read_all
from loan_scoring.drafting.report import check_contract
from loan_scoring.errors import SourceError

CONTRACT = """
portfolio: lender
title: Loans
owner: credit-risk
target: {source: status, positive: [bad], negative: [paid]}
columns:
  - {source: Nr, name: loan_id, label: Number, type: integer, known: application}
  - {source: Amount, name: amount, label: Sum, type: number, known: application, range: [0, 1000]}
  - source: Job
    name: job
    label: Job
    type: category
    known: application
    levels: [fixed, free]
  - {source: Score, name: score, label: Sc, type: category, known: application, open_levels: true}
  - {source: Year, name: year, label: Year, type: integer, known: application}
decision: {approve_below: 0.1, decline_from: 0.3}
"""


@pytest.fixture
def contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that writes the contract with some texts replaced."""
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))

    def write(*changes: tuple[str, str]) -> Path:
        text = CONTRACT.lstrip()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "lender.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def night(tmp_path: Path) -> Path:
    path = tmp_path / "night.csv"
    outcomes = ["paid", "paid", "bad"]
    rows = [
        f"{n},{n % 900},{'fixed' if n % 2 else 'free'},{n % 50}.5,2024,{outcomes[n % 3]}"
        for n in range(1, 201)
    ]
    rows += ["x1,5,fixed,1.5,2024,paid", "1,5,fixed,1.5,2024,paid", "900,-5,fixed,1.5,2024,paid"]
    rows += ["901,5,Fixed,n/a,2024,paid", "902,many,student,1.5,2024,open", "903,5,retired,1.5"]
    path.write_text("\n".join(["Nr,Amount,Job,Score,Year,status", *rows]) + "\n")
    return path


def test_all_mistakes_are_shown_at_once_with_their_lines(contract) -> None:
    path = contract(
        ("type: number", "type: float"),
        ("known: application\n    levels", "knwon: application\n    levels"),
        ("range: [0, 1000]", "range: [0, 1000], range: [1000, 0]"),
        ("approve_below: 0.1", "approve_below: 0.5"),
        ("owner: credit-risk", "owner: credit-risk\nprotected: [sex]\nbusiness: {amount: amuont}"),
        ("open_levels: true", "open_levels: maybe"),
    )  # fmt: skip
    found = [(each.line, each.field) for each in read_all(path).mistakes]
    assert found == [
        (4, "protected"),
        (5, "business.amount"),
        (9, "columns.1.range"),
        (9, "columns.amount.type"),
        (10, "columns.job.known"),
        (14, "columns.job.knwon"),
        (16, "columns.score.open_levels"),
        (18, "decision"),
    ]


def test_an_expression_whose_comma_has_no_quotes_is_told(contract) -> None:
    features = (
        "features:\n  - {name: ratio, label: Ratio, expression: (amount + coalesce(score, 0)) / 2}"
    )
    mistakes = read_all(
        contract(("owner: credit-risk", f"owner: credit-risk\n{features}"))
    ).mistakes
    assert [each.field for each in mistakes] == [
        "features.ratio.0)) / 2",
        "features.ratio.expression",
    ]
    assert "put a text that has a comma in quotes" in mistakes[0].reason


@pytest.mark.parametrize(("old", "new", "field", "reason"), MISTAKES)
def test_mistake_has_a_line_of_the_part_that_it_names(
    tmp_path: Path, old: str, new: str, field: str, reason: str
) -> None:
    path = tmp_path / "loan_default.yaml"
    text = TEXT.replace(old, new, 1)
    path.write_text(text)
    mistakes = read_all(path).mistakes
    assert any(reason in f"{each.field}: {each.reason}" for each in mistakes)
    assert all(1 <= each.line <= len(text.splitlines()) for each in mistakes)


def test_broken_yaml_names_the_line(contract) -> None:
    mistake = read_all(contract(("levels: [fixed, free]", "levels: [fixed, free"))).mistakes[0]
    assert (mistake.line, mistake.field) == (14, "")
    assert "not valid YAML" in mistake.reason


def test_command_prints_file_line_and_field_and_fails(
    contract, capsys: pytest.CaptureFixture
) -> None:
    path = contract(("type: number", "type: float"), ("Year, type: integer", "Year, type: int"))
    assert main(["contract", "check", "lender"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{path}:7: columns.amount.type: Input should be")
    assert lines[1].startswith(f"{path}:15: columns.year.type: Input should be")
    assert lines[2] == "2 mistakes; no file is read before they are mended"


def test_dates_and_amounts_of_outcomes_are_read_too(contract, tmp_path: Path) -> None:
    path = contract(
        ("negative: [paid]", "negative: [paid], open: [late]"),
        ("decision:", "business: {amount: amount}\noutcomes: {observed_on: {source: last, format:"
         " '%b-%Y'}, recovered: {source: back}}\ndecision:"),
    )  # fmt: skip
    rows = ["1,5,fixed,1,2024,bad,Sep-2023,$5", "2,5,fixed,1,2024,paid,2023-09,0"]
    rows += ["3,5,fixed,1,2024,late,x,x", "4,5,fixed,1,2024,odd,,"]
    source = tmp_path / "loans.csv"
    source.write_text("\n".join(["Nr,Amount,Job,Score,Year,status,last,back", *rows]) + "\n")
    result = check_contract(path, str(source))
    assert result["outcomes"] == {"default": 1, "paid": 1, "open": 1, "unknown": 1}
    assert result["outcomes_refused"] == {
        "not_a_date:observed_on": {"rows": 1, "examples": ["'2023-09' (line 3)"]},
        "not_a_number:recovered": {"rows": 1, "examples": ["'$5' (line 2)"]},
    }
    assert "outcomes: 1 default, 1 paid, 1 open, 1 unknown\n" in result["text"]
    assert "not_a_number:recovered" in result["text"]


def test_refused_rows_are_counted_by_rule_with_three_examples(contract, night: Path) -> None:
    result = check_contract(contract(), str(night))
    assert (result["received"], result["accepted"]) == (206, 200)
    assert result["refused"] == {
        "unknown_level:job": {
            "rows": 2,
            "examples": ["'Fixed' (line 205)", "'student' (line 206)"],
        },
        "not_a_number:loan_id": {"rows": 1, "examples": ["'x1' (line 202)"]},
        "duplicate_key:loan_id": {"rows": 1, "examples": ["'1' (line 203)"]},
        "out_of_range:amount": {"rows": 1, "examples": ["'-5' (line 204)"]},
        "not_a_number:amount": {"rows": 1, "examples": ["'many' (line 206)"]},
        "field_count": {"rows": 1, "examples": ["'903,5,retired,1.5' (line 207)"]},
    }


def test_warnings_name_what_a_person_should_look_at(contract, night: Path) -> None:
    job = ("levels: [fixed, free]", "levels: [fixed, free]\n    open_levels: true")
    warnings = "\n".join(check_contract(contract(job), str(night))["warnings"])
    assert (
        "training.min_loans: 204 loans of the file have an outcome, training needs 1,000"
        in warnings
    )
    assert "target: refused, as neither positive, negative nor open: 'open' 1" in warnings
    assert "columns.year: always 2024, so no model learns from it" in warnings
    assert (
        "columns.score.type: 99.5% numbers, others are 'n/a': should its type be number?"
        in warnings
    )
    assert "columns.job.levels: differ by letter case only: Fixed and fixed" in warnings


def test_columns_that_are_not_declared_and_batches_that_would_be_refused_are_told(
    contract, night: Path
) -> None:
    path = contract(("range: [0, 1000]", "range: [0, 100]"))
    night.write_text(night.read_text().replace("Year,status", "Year,State"))
    result = check_contract(path, str(night))
    assert result["exit"] == 1
    assert "mistake: ingest.max_quarantined_share: " in result["text"]
    warnings = "\n".join(result["warnings"])
    assert "columns.year" not in warnings  # of the few rows that are left nothing is said
    assert "target.source: the file has no column 'status'" in warnings
    assert "columns: not declared, so left out: State" in warnings


def test_column_that_is_known_later_and_not_optional_is_told(contract, night: Path) -> None:
    path = contract(("name: year, label: Year, type: integer, known: application",
                     "name: year, label: Year, type: integer, known: pricing"))  # fmt: skip
    told = "columns: known later, but not optional: year; a night's file without them is refused"
    assert f"warning: {told}; set optional: true" in check_contract(path, None)["text"]
    assert told in "\n".join(check_contract(path, str(night))["warnings"])
    night.write_text(night.read_text().replace("Year", "Period"))
    with pytest.raises(SourceError, match=r"column Year missing .* optional: true .*\(year\)"):
        check_contract(path, str(night))


def test_column_that_looks_known_later_is_told_as_the_draft_tells_it(contract, tmp_path) -> None:
    path = contract(
        ("Year, name: year, label: Year, type: integer, known: application",
         "late_fee, name: late_fee, label: Fee, type: integer, known: application, optional: true"),
    )  # fmt: skip
    rows = [f"{n},{900 if n % 3 == 0 else 10 + n % 50},fixed,1,0,{'bad' if n % 3 == 0 else 'paid'}"
            for n in range(1, 300)]  # fmt: skip
    source = tmp_path / "loans.csv"
    source.write_text("\n".join(["Nr,Amount,Job,Score,late_fee,status", *rows]) + "\n")
    warnings = check_contract(path, str(source))["warnings"]
    told = "columns.amount.known: known only afterwards? alone it has AUC 1.00"
    assert any(each.startswith(told) for each in warnings)
    assert "columns.late_fee.known: known only afterwards, as its header sounds?" in warnings
    figures = draft_contract(str(source), "lender").columns
    amount = next(each for each in figures if each.fields["name"] == "amount")
    assert f"columns.amount.known: {amount.todos[0]}" in warnings
    source.write_text(source.read_text().replace("late_fee", "other"))
    lacking = "columns: late_fee not in the file, as the contract allows; null in all rows"
    warnings = check_contract(path, str(source))["warnings"]
    assert lacking in warnings
    assert not any("null in every row" in each for each in warnings)


def test_open_questions_are_counted(contract) -> None:
    path = contract(("owner: credit-risk", "owner: credit-risk  # TODO who?"))
    assert "marked TODO, 1 place still to answer: lines 3" in check_contract(path, None)["text"]


def test_json_has_the_same_facts(contract, night: Path, capsys: pytest.CaptureFixture) -> None:
    contract()
    assert main(["contract", "check", "lender", "--source", str(night), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accepted"] == 200


def test_contract_that_is_not_there_names_the_command_that_drafts_one(
    contract, capsys: pytest.CaptureFixture
) -> None:
    assert main(["contract", "check", "other"]) == 1
    assert (
        "`loan-scoring contract init FILE --portfolio other` drafts one" in capsys.readouterr().err
    )
