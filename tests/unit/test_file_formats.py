"""How a sender writes files is declared in the contract: codec, delimiter, header, sheet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from loan_scoring.contract import (
    Contract,
    FileFormat,
    load,
    outcome_rules_sha256,
    row_rules_sha256,
)
from loan_scoring.errors import NoRowsError, SourceError
from loan_scoring.ingest.files.table import open_table
from workbooks import DATE, MOMENT, PERCENT, write_workbook

LINES = ["nr,amount,job", "1,7151.03,fixed", "2,25024.04,freelance"]
ROWS = [("1", "7151.03", "fixed"), ("2", "25024.04", "freelance")]


def rows(
    path: Path, wanted: Sequence[str] = ("nr", "amount", "job"), size: int = 4 << 20, **fields: Any
) -> list[tuple[str, ...]]:
    with open_table(path, wanted, file_format=FileFormat(**fields), block_bytes=size) as table:
        blocks = list(table)
    assert [each for block in blocks for each in block.malformed] == []
    return [tuple(row.values()) for block in blocks for row in block.table.to_pylist()]


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def declared(**fields: Any) -> Contract:
    raw: dict[str, Any] = {
        "portfolio": "any", "title": "t", "owner": "o",
        "target": {"source": "status", "positive": ["bad"], "negative": ["paid"]},
        "decision": {"approve_below": 0.1, "decline_from": 0.3},
        "columns": [
            {"source": "nr", "name": "loan_id", "label": "Nr", "type": "integer",
             "known": "application"},
            {"source": "amount", "name": "amount_eur", "label": "Amount", "type": "number",
             "known": "application"},
        ],
    }  # fmt: skip
    key = fields.pop("key", {})
    raw["columns"][0] = {k: v for k, v in (raw["columns"][0] | key).items() if v is not None}
    return Contract.model_validate(raw | fields)


# Delimiters


@pytest.mark.parametrize(
    ("delimiter", "between"),
    [("auto", "|"), ("|", "|"), ("tab", "\t"), (";", ";"), ("blank", " "), ("blank", " \t  ")],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_delimiter_is_found_or_declared(
    tmp_path: Path, delimiter: str, between: str, line_end: str
) -> None:
    text = line_end.join(LINES).replace(",", between) + line_end
    path = written(tmp_path / "f.txt", text)
    assert rows(path, delimiter=delimiter) == ROWS
    assert rows(path, delimiter=delimiter, size=1) == ROWS


def test_a_declared_delimiter_leaves_the_others_in_the_values(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", "nr|amount|job\n1|7151,03|a;b\n")
    assert rows(path, delimiter="|") == [("1", "7151,03", "a;b")]


def test_blanks_around_a_line_and_within_quotes_are_no_delimiters(tmp_path: Path) -> None:
    path = written(tmp_path / "f.txt", '  nr amount job\n 1  7 "two  words" \n\n2\t8 ""\n')
    assert rows(path, delimiter="blank") == [("1", "7", "two  words"), ("2", "8", "")]


def test_a_file_with_blanks_says_what_to_declare(tmp_path: Path) -> None:
    path = written(tmp_path / "f.txt", "nr amount job\n1 2 a\n")
    with pytest.raises(SourceError, match=r"declare source\.delimiter: blank"):
        rows(path)


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_size_of_a_block_never_changes_the_rows(tmp_path: Path, data: st.DataObject) -> None:
    values = st.text("ab€\"' \t,|é\n", max_size=6)
    table = data.draw(st.lists(st.tuples(values, values, values), min_size=1, max_size=5))
    encoding, delimiter, between = data.draw(
        st.sampled_from(
            [("cp1252", "|", "|"), ("utf-16", "auto", ";"), ("utf-8", "blank", "  "),
             ("cp1252", "blank", "\t ")]
        )
    )  # fmt: skip

    def quoted(value: str) -> str:
        if delimiter == "blank":  # a value of several lines is not for such files
            value = value.replace("\n", "")
        return '"' + value.replace('"', '""') + '"'

    text = "\n".join(between.join(map(quoted, row)) for row in [("nr", "amount", "job"), *table])
    path = written(tmp_path / "f.csv", text + "\n", encoding)
    expected = [
        tuple(value.replace("\n", "") if delimiter == "blank" else value for value in row)
        for row in table
    ]
    for size in (1, 7, 4 << 20):
        assert rows(path, size=size, encoding=encoding, delimiter=delimiter) == expected


# Encodings


@pytest.mark.parametrize(
    "encoding", ["cp1252", "utf-16", "utf-16-le", "utf-32", "iso8859-15", "cp1250", "utf-8-sig"]
)
def test_any_text_codec_is_read_by_name(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path / "f.csv", "nr,amount,job\n1,2,angestellt €\n", encoding)
    expected = [("1", "2", "angestellt €")]
    for size in (1, 5, 4 << 20):
        assert rows(path, encoding=encoding, size=size) == expected


def test_a_byte_that_the_codec_lacks_costs_its_own_row(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"nr,job\n1,\x80\n2,a\x81b\n3,\x9f\n")
    with open_table(path, ["nr", "job"], file_format=FileFormat(encoding="cp1252")) as table:
        (block,) = table
    assert block.table.column("job").to_pylist() == ["€", "Ÿ"]
    assert [(m.line_number, m.raw_text, m.reason) for m in block.malformed] == [
        (3, r"2,a\x81b", "encoding")
    ]


def test_bytes_that_would_be_utf_8_are_no_text_in_another_codec(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes("nr,job\n1,é\n2,a\n".encode())
    with open_table(path, ["nr", "job"], file_format=FileFormat(encoding="ascii")) as table:
        (block,) = table
    assert [(m.raw_text, m.reason) for m in block.malformed] == [(r"1,\xc3\xa9", "encoding")]


def test_a_utf_16_file_that_breaks_off_within_a_letter_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes("nr,amount,job\n1,2,a\n3,4,b".encode("utf-16")[:-1])
    with pytest.raises(SourceError, match="cut off"):
        rows(path, encoding="utf-16")


def test_undeclared_utf_16_says_what_to_declare(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", "nr,amount,job\n1,2,a\n", "utf-16")
    with pytest.raises(SourceError, match=r"declare source\.encoding: utf-16"):
        rows(path, encoding="cp1252")


@pytest.mark.parametrize("encoding", ["cp1253x", "base64", "rot13", "idna", "undefined", "mbcs"])
def test_an_encoding_that_is_no_text_codec_is_one_line(encoding: str) -> None:
    with pytest.raises(ValidationError, match=f"'{encoding}' is not a text codec"):
        FileFormat(encoding=encoding)


# Headers


def test_without_a_header_columns_are_positions(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", "\n".join(LINES[1:]).replace(",", "|") + "\n")
    format_ = FileFormat(header=False)
    with open_table(path, ["1", "3"], file_format=format_) as table:
        (block,) = table
        assert table.header.names == ["1", "2", "3"]
        assert table.header.extra == ["2"]
    assert block.table.to_pylist() == [{"1": "1", "3": "fixed"}, {"1": "2", "3": "freelance"}]
    assert block.line_numbers.tolist() == [1, 2]


def test_without_a_header_a_delimiter_is_never_guessed(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", "1;7151,03;8\n")
    with pytest.raises(SourceError, match=r"comma or semicolon; declare source\.delimiter"):
        rows(path, ["1", "2"], header=False)
    assert rows(path, ["1", "2"], header=False, delimiter=";") == [("1", "7151,03")]


def test_a_position_beyond_the_first_record_is_one_line(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", "1,2\n")
    with pytest.raises(SourceError, match=r"first record has 2 fields.*asks for column 9"):
        rows(path, ["9"], header=False)


def test_letter_case_of_headers_matters_unless_declared(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", "NR,Amount,JOB\n1,2,a\n")
    with pytest.raises(SourceError, match="no column of the contract"):
        rows(path)
    assert rows(path, ignore_case=True) == [("1", "2", "a")]
    both = written(tmp_path / "g.csv", "nr,NR,amount,job\n1,2,3,a\n")
    with pytest.raises(SourceError, match="column nr twice in the header"):
        rows(both, ignore_case=True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"source": {"header": False}}, r"columns\.loan_id\.source: 'nr' is a name, but"),
        ({"source": {"header": False, "ignore_case": True}}, "no names without a header"),
        ({"source": {"ignore_case": True}, "target": {"source": "NR", "positive": ["1"],
          "negative": ["0"]}}, "two sources differ by letter case only"),
        ({"key": {"source": ["nr", "amount"], "type": "text"}}, "source 'amount' is declared"),
        ({"key": {"source": ["nr", "sub"]}}, "source is a list, so the type must be text"),
        ({"key": {"source": ["nr"], "type": "text"}}, "two or more different columns"),
        ({"key": {"source": ["nr", "status"], "type": "text"}}, "this is the target"),
        ({"key": {"made_from": "row"}}, "give either source or made_from"),
        ({"key": {"source": None, "made_from": "row"}}, "made_from: row has the type uuid"),
        ({"key": {"source": None, "made_from": "line"}}, "made_from: line has the type text"),
        ({"key": {"source": None}}, "needs source"),
        ({"key": {"source": 2.5}}, "put it in quotes"),
        ({"ingest": {"files": []}}, "at least 1 item"),
    ],
)  # fmt: skip
def test_a_mistake_about_files_or_keys_is_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        declared(**fields)


def test_two_columns_named_as_key_say_how_a_key_of_several_columns_is_declared() -> None:
    raw = declared().model_dump()
    raw["columns"].append(raw["columns"][0] | {"source": "sub"})
    with pytest.raises(ValidationError, match=r"one key as source: \[A, B\]"):
        Contract.model_validate(raw)


# A changed format is a changed rule


def test_a_contract_without_the_new_fields_keeps_its_hashes() -> None:
    """The hashes were computed before the fields existed."""
    contract = declared()
    assert row_rules_sha256(contract)[:12] == "22f0f1903973"
    assert outcome_rules_sha256(contract)[:12] == "e2c768c75782"
    assert '"source":{"url":null,"encoding":"utf-8"}' in contract.model_dump_json()
    assert "made_from" not in contract.model_dump_json()
    assert "files" not in contract.ingest.model_dump()


@pytest.mark.parametrize(
    "fields",
    [
        {"source": {"encoding": "cp1252"}},
        {"source": {"delimiter": "|"}},
        {"source": {"ignore_case": True}},
        {"source": {"sheet": "Loans"}},
        {"key": {"source": ["nr", "sub"], "type": "text"}},
        {"key": {"source": None, "made_from": "row", "type": "uuid"}},
        {"key": {"source": None, "made_from": "line", "type": "text"}},
    ],
)
def test_a_changed_format_is_a_changed_rule_for_rows_and_outcomes(fields: dict[str, Any]) -> None:
    before, after = declared(), declared(**fields)
    assert row_rules_sha256(after) != row_rules_sha256(before)
    assert outcome_rules_sha256(after) != outcome_rules_sha256(before)


def test_a_header_that_is_gone_is_a_changed_rule() -> None:
    positions = {
        "target": {"source": 3, "positive": ["bad"], "negative": ["paid"]},
        "columns": [
            {"source": 1, "name": "loan_id", "label": "Nr", "type": "integer",
             "known": "application"},
            {"source": 2, "name": "amount_eur", "label": "Amount", "type": "number",
             "known": "application"},
        ],
    }  # fmt: skip
    before = declared(**positions)
    after = declared(**positions, source={"header": False})
    assert row_rules_sha256(after) != row_rules_sha256(before)
    assert outcome_rules_sha256(after) != outcome_rules_sha256(before)


def test_the_shipped_contracts_declare_no_new_field() -> None:
    assert load("loan_default").source.model_dump().keys() == {"url", "encoding"}


# Workbooks


def test_a_sheet_is_read_with_each_cell_as_defined_text(tmp_path: Path) -> None:
    path = write_workbook(
        tmp_path / "f.xlsx",
        {
            "Loans": [
                [None, "nr", "amount", "job"],
                [None, 812345678901, 0.1 + 0.2, "fixed"],
                [],
                [None, 1, (46082.0, DATE), True],
                [None, 2, (46082.5, MOMENT), "#N/A"],
                [None, 123456789012345678, (0.135, PERCENT), "x"],
            ]
        },
        first_row=3,
    )
    with open_table(path, ["nr", "amount", "job"], block_bytes=512) as table:
        blocks = list(table)
    assert [tuple(row.values()) for block in blocks for row in block.table.to_pylist()] == [
        ("812345678901", "0.3", "fixed"),
        ("1", "2026-03-01", "TRUE"),
        ("2", "2026-03-01 12:00:00", ""),
        ("1.23456789012346e+17", "0.135", "x"),
    ]
    assert [line for block in blocks for line in block.line_numbers.tolist()] == [4, 6, 7, 8]
    assert blocks[0].raw_text(0) == "812345678901,0.3,fixed"


def test_several_sheets_are_refused_unless_one_is_declared(tmp_path: Path) -> None:
    sheet = [["nr", "amount", "job"], [1, 2, "a"]]
    path = write_workbook(tmp_path / "f.xlsx", {"Notes": [["x"]], "Loans": sheet})
    with pytest.raises(SourceError, match="2 sheets; declare one"):
        rows(path)
    assert rows(path, sheet="Loans") == [("1", "2", "a")]
    with pytest.raises(SourceError, match="none of 2 sheets is named Loan; correct"):
        rows(path, sheet="Loan")


def test_a_sheet_without_header_or_rows(tmp_path: Path) -> None:
    bare = write_workbook(tmp_path / "f.xlsx", {"A": [[None, 1, "a"], [None, 2, "b"]]})
    assert rows(bare, ["2", "3"], header=False) == [("1", "a"), ("2", "b")]
    with pytest.raises(NoRowsError, match="header but no rows"):
        rows(write_workbook(tmp_path / "g.xlsx", {"A": [["nr", "amount", "job"]]}))
    with pytest.raises(NoRowsError, match="sheet A is empty"):
        rows(write_workbook(tmp_path / "h.xlsx", {"A": []}))


def test_a_workbook_is_known_by_its_content_and_a_damaged_one_is_one_line(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "f.bin", {"A": [["nr", "amount", "job"], [1, 2, "a"]]})
    assert rows(path) == [("1", "2", "a")]
    torn = tmp_path / "f.xlsx"
    torn.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SourceError, match="not xlsx, is damaged"):
        rows(torn)


def test_without_the_extra_a_workbook_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_workbook(tmp_path / "f.xlsx", {"A": [["nr", "amount", "job"], [1, 2, "a"]]})
    monkeypatch.setitem(__import__("sys").modules, "python_calamine", None)
    with pytest.raises(SourceError, match="needs the package python-calamine; run"):
        rows(path)
