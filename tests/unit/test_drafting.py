"""A draft says how a file is written, what its columns are, and what a person must answer."""

import gzip
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loan_scoring import contract as contracts
from loan_scoring.drafting.draft import draft_contract
from loan_scoring.drafting.start import start_contract
from loan_scoring.drafting.writing import FIRST_LINE, write_yaml
from loan_scoring.errors import ContractError, LoanScoringError, SourceError

ROWS = 400


def drafted(path: Path, **chosen: str) -> tuple[dict, str]:
    """Return the draft of a file as it loads from YAML, and its text."""
    text = write_yaml(draft_contract(str(path), "lender", **chosen))
    (path.parent / "lender.yaml").write_text(text)
    contracts.read(path.parent / "lender.yaml")
    return yaml.safe_load(text), text


@pytest.fixture
def loans(tmp_path: Path):
    """Return a function that writes columns to a file, beside a key and an outcome."""

    def write(delimiter: str = ",", encoding: str = "utf-8", **columns: object) -> Path:
        table = {"loan_id": [str(n) for n in range(1000, 1000 + ROWS)]}
        for name, values in columns.items():
            found = [str(each) for each in values]  # type: ignore[attr-defined]
            table[name] = [found[row % len(found)] for row in range(ROWS)]
        table["loan_status"] = [
            "Charged Off" if row % 4 == 0 else "Fully Paid" for row in range(ROWS)
        ]
        lines = [delimiter.join(table), *map(delimiter.join, zip(*table.values(), strict=True))]
        path = tmp_path / "loans.csv"
        path.write_bytes(("\r\n".join(lines) + "\r\n").encode(encoding))
        return path

    return write


def column(draft: dict, source: str) -> dict:
    return next(each for each in draft["columns"] if each.get("source") == source)


@pytest.mark.parametrize(
    ("delimiter", "name"), [(",", ","), (";", ";"), ("\t", "tab"), ("|", "|"), ("  ", "blank")]
)
def test_delimiter_is_found(loans, delimiter: str, name: str) -> None:
    draft, _ = drafted(_without_blanks(loans(delimiter, job=["fixed", "free"])))
    assert draft["source"]["delimiter"] == name


def _without_blanks(path: Path) -> Path:
    text = path.read_text().replace("Charged Off", "default").replace("Fully Paid", "paid")
    path.write_text(text)
    return path


def test_encoding_is_found(loans) -> None:
    draft, text = drafted(loans(encoding="cp1252", stadt=["Köln", "Gießen", "20 €"]))
    assert draft["source"]["encoding"] == "cp1252"
    assert "TODO the file is not UTF-8" in text


def test_file_without_header_gets_positions(tmp_path: Path) -> None:
    path = tmp_path / "german.data.gz"
    rows = [f"A1{n % 4} {n % 60 + 1} A3{n % 3} {250 + n * 7} {n % 10 // 7}" for n in range(ROWS)]
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    draft, _ = drafted(path, target="5")
    assert draft["source"] == {"encoding": "utf-8", "delimiter": "blank", "header": False}
    assert draft["target"]["source"] == 5
    assert {each.get("source") for each in draft["columns"][1:]} <= {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("values", "type_", "fields"),
    [
        (["Sep-2016", "Jan-2001"], "date", {"format": "%b-%Y"}),
        (["2016-02-29", "2001-01-01"], "date", {}),
        (["29.02.2016", "01.12.2001"], "date", {"format": "%d.%m.%Y"}),
        (["05/13/2016", "12/01/2001"], "date", {"format": "%m/%d/%Y"}),
        (["2016-02-29T10:11:12", "2001-01-01T00:00:00"], "datetime", {}),
        (["$1,234.50", "$99.00"], "money", {"thousands": ",", "currency": "$", "unit": "USD"}),
        (["1.234,50", "99,00"], "number", {"decimal": ",", "thousands": "."}),
        (["13.5 %", "7 %"], "percent", {"unit": "percent"}),
        (["0.25", "13"], "number", {}),
        (["12", "13", "999999"], "integer", {}),
        (["Y", "N"], "boolean", {"is_true": ["Y"], "is_false": ["N"]}),
        (["02134", "94105"], "category", {}),
        (["10+ years", "< 1 year", "2 years"], "category", {}),
        ([f"free text number {n}" for n in range(300)], "text", {}),
        (["c0ffee00-0000-4000-8000-000000000001"], "uuid", {}),
    ],
)
def test_type_and_format_are_found(loans, values: list[str], type_: str, fields: dict) -> None:
    # A ; keeps the commas in values apart.
    draft, _ = drafted(loans(";", x=values))
    found = column(draft, "x")
    assert found["type"] == type_
    assert {name: found.get(name) for name in fields} == fields


@pytest.mark.parametrize(
    ("header", "first", "format_"),
    [("ApprovalDate", 15074, "sas_days"), ("date", 930705, "%y%m%d"),
     ("dt_first_pi", 202003, "%Y%m"), ("issue_date", 41000, "excel_days")],
)  # fmt: skip
def test_numbers_are_dates_if_the_header_says_so(
    loans, header: str, first: int, format_: str
) -> None:
    assert column(drafted(loans(**{header: [first, first + 1]}))[0], header)["format"] == format_
    assert column(drafted(loans(amount=[first, first + 1]))[0], "amount")["type"] == "money"


def test_date_that_two_formats_read_is_asked(loans) -> None:
    _, text = drafted(loans(x=["05/03/2016", "12/01/2001"]))
    assert "TODO the dates could also be written as %m/%d/%Y" in text


def test_codes_for_unknown_are_proposed_and_asked(loans) -> None:
    draft, text = drafted(
        loans(late=[0, 1, 2, 3, 13, 96, 98], age=[*range(21, 100)], dti=["NA", "1.5"])
    )
    assert column(draft, "late")["null_tokens"] == ["96", "98"]
    assert (
        "TODO '96', '98' is read as null: does it mean unknown? The other values are 0 to 13"
        in text
    )
    assert "null_tokens" not in column(draft, "age")  # 99 follows 98
    assert column(draft, "dti")["null_tokens"] == ["NA"]


def test_night_may_lack_a_price_and_applicants_may_be_older_than_the_file(loans) -> None:
    draft, _ = drafted(loans(int_rate=["13.5%", "7%", "9%"], first_credit=["Mar-1991"]))
    assert (column(draft, "int_rate")["known"], column(draft, "int_rate")["optional"]) == (
        "pricing", True,
    )  # fmt: skip
    assert str(column(draft, "first_credit")["range"][0]) == "1900-01-01"


def test_what_is_paid_out_is_known_after_the_decision(loans) -> None:
    draft, text = drafted(loans(DisbursementGross=[100, 250, 300]))
    assert column(draft, "DisbursementGross")["known"] == "pricing"
    assert "TODO known only when the money is paid out" in text


def test_calendar_numbers_are_asked(loans) -> None:
    _, text = drafted(loans(ApprovalFY=[2001, 2002, 2003], years_in_job=[1, 2, 3]))
    assert text.count("outside the training range on every new night: stored_only?") == 1


def test_column_that_an_outcome_gives_is_asked(loans) -> None:
    lasted = [10 + row % 3 if row % 4 == 0 else 30 + row % 5 for row in range(ROWS)]
    long = ["y" if months in (10, 30, 31) else "n" for months in lasted]
    _, text = drafted(loans(lasted=lasted, is_long=long))
    assert "TODO can be computed from lasted: known only afterwards too?" in text


def test_flag_of_several_texts_may_be_a_category(loans) -> None:
    _, text = drafted(loans(RevLineCr=["Y", "0", "N", "T"]))
    assert "make it a category with these levels" in " ".join(text.replace("#", "").split())


def test_column_that_gives_the_outcome_away_is_not_known_at_application(loans) -> None:
    recovered = [100 if row % 4 == 0 else 0 for row in range(ROWS)]
    draft, text = drafted(loans(money_back=recovered, income=[10, 20, 30]))
    leaking = column(draft, "money_back")
    assert (leaking["known"], leaking["optional"]) == ("outcome", True)
    assert "TODO known only afterwards? alone it has AUC 1.00" in text
    assert column(draft, "income")["known"] == "application"


def test_states_of_the_target_are_sorted_and_asked(loans) -> None:
    path = loans(income=[1, 2, 3])
    text = path.read_text().replace("1007,2,Fully Paid", "1007,2,Current")
    path.write_text(text.replace("1013,2,Fully Paid", "1013,2,"))
    draft, written = drafted(path)
    assert draft["target"] == {
        "source": "loan_status", "positive": ["Charged Off"], "negative": ["Fully Paid"],
        "open": ["Current", ""],
    }  # fmt: skip
    assert "In this file: Fully Paid 298, Charged Off 100, Current 1, '' 1" in written


def test_rarer_of_two_states_is_the_default_if_nothing_says_more(loans) -> None:
    path = loans(income=[1, 2, 3])
    text = path.read_text().replace("loan_status", "CLASSIFICATION")
    path.write_text(text.replace("Charged Off", "0").replace("Fully Paid", "1"))
    assert drafted(path)[0]["target"]["positive"] == ["0"]


def test_protected_columns_are_listed_with_bands(loans) -> None:
    draft, text = drafted(loans(age=[20, 30, 40], Gender=["m", "f"], region=["n", "s"]))
    assert draft["protected"] == [{"column": "age", "bands": [25, 35, 45, 55, 65]}, "gender"]
    assert text.count("TODO may places stand for the origin of people") == 1


def test_names_are_free_in_sql_and_unique(loans) -> None:
    path = loans(**{"desc": ["a"], "Desc ": ["b"], "batch_id": ["c"], "1st": ["d"], "Größe": ["e"]})
    names = [each["name"] for each in drafted(path)[0]["columns"]]
    assert names == ["loan_id", "desc_code", "desc_code_2", "batch_id_code", "column_1st", "grosse"]


def test_file_without_a_key_gets_one_from_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "loans.csv"
    lines = [f"{n % 3},{n / 7:.4f}" for n in range(ROWS)]
    path.write_text("\n".join(["Default,Ratio", *lines]).replace("2,", "0,") + "\n")
    draft, text = drafted(path)
    assert draft["columns"][0]["made_from"] == "row"
    assert "TODO the file has no key" in text
    path.write_text(path.read_text() + "0,0.0000\n")
    assert drafted(path)[0]["columns"][0]["made_from"] == "line"


def test_what_cannot_be_a_key_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "loans.csv"
    lines = [f"{n % 9},{n % 3 // 2},{n / 7:.4f}" for n in range(ROWS)]
    path.write_text("\n".join(["loan_id,default,ratio", *lines]) + "\n")
    draft, text = drafted(path)
    assert draft["columns"][0]["source"] == "loan_id"
    assert "TODO only 9 of" in text
    with pytest.raises(SourceError, match="'default' is the target or has no value"):
        drafted(path, key="default")
    with pytest.raises(SourceError, match="has a column loan_id, so no key is made"):
        drafted(path, key="row")


def test_a_column_without_a_name_may_be_the_key(tmp_path: Path) -> None:
    path = tmp_path / "loans.csv"
    lines = [f"{n},{n % 3 // 2},{n / 7:.4f},x" for n in range(ROWS)]
    path.write_text("\n".join([",Default,Ratio,", *lines]) + "\n")
    draft, text = drafted(path)
    key = draft["columns"][0]
    assert (key["source"], key["type"]) == ("column 1", "integer")
    assert "TODO column 1 has no name in the header" in text
    assert "so left out: column 4" in text
    path.write_text(path.read_text().replace("\n7,", "\n8,"))
    assert "made_from" in drafted(path)[0]["columns"][0]


def test_two_columns_are_the_key_together(tmp_path: Path) -> None:
    path = tmp_path / "loans.csv"
    lines = [f"{n // 2},{n % 2},{n % 5 // 4},{n % 7}" for n in range(ROWS)]
    path.write_text("\n".join(["client_nr,sub_nr,default,rooms", *lines]) + "\n")
    assert drafted(path)[0]["columns"][0]["source"] == ["client_nr", "sub_nr"]
    assert drafted(path, key="client_nr,sub_nr")[0]["columns"][0]["type"] == "text"
    with pytest.raises(SourceError, match="has no column 'nr'; its columns are client_nr"):
        drafted(path, key="nr")


def test_init_writes_draft_and_schema_once(loans, tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "portfolios"
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(folder))
    done = start_contract(str(loans(income=[1, 2, 3])), "lender")
    text = done.path.read_text()
    assert text.startswith(FIRST_LINE)
    assert (folder / "contract.schema.json").is_file()
    assert done.todos == text.count("TODO ")
    assert contracts.load("lender").target.source == "loan_status"
    with pytest.raises(ContractError, match="is there already"):
        start_contract(str(loans(income=[9])), "lender")
    assert done.path.read_text() == text
    with pytest.raises(ContractError, match="--portfolio: 'pg_loans' is a schema"):
        start_contract(str(loans(income=[9])), "pg_loans")


def test_150_000_rows_are_drafted_in_seconds(tmp_path: Path) -> None:
    dice = np.random.default_rng(1)
    rows = 150_000
    numbers = [dice.normal(5000, 900, rows).round(2).astype(str) for _ in range(8)]
    levels = [np.array(["a", "b", "c"])[dice.integers(0, 3, rows)] for _ in range(4)]
    table = [
        np.arange(rows).astype(str),
        *numbers,
        *levels,
        (dice.random(rows) < 0.2).astype(int).astype(str),
    ]
    header = ",".join(["id", *(f"x{n}" for n in range(12)), "default"])
    path = tmp_path / "large.csv"
    path.write_text("\n".join([header, *map(",".join, zip(*table, strict=True))]) + "\n")
    started = time.process_time()
    drafted(path)
    assert time.process_time() - started < 15  # 3 s on an idle core


POOL = st.sampled_from(
    ["", "NA", "1", "0", "-1", "999", "1.5", "1,234.50", "1.234,50", "$5", "12 %", "2020-01-01",
     "05/13/2020", "Sep-2016", "930705", "Y", "N", "abc", "Äpfel", "x" * 200, "10+ years", "'",
     "00123", "None", "[x]", "{a}", "# c", "a: b", "yes", "null", "~", "\u200b", "9" * 22, "-",
     ".5", "+3", "%"]
)  # fmt: skip
HEADERS = st.sampled_from(
    ["id", "Id", "", "loan id", "batch_id", "desc", "Größe", "1st", "a" * 80, "status", "default",
     "age", "date", "x\ny", "zip", "amount", "no", "loan_id", "%", "é", "A-B", "TODO"]
)  # fmt: skip


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    header=st.lists(HEADERS, min_size=2, max_size=6),
    rows=st.lists(st.lists(POOL, min_size=6, max_size=6), min_size=1, max_size=12),
)
def test_any_file_gives_a_draft_that_loads_or_one_line(
    tmp_path: Path, header: list[str], rows: list[list[str]]
) -> None:
    path = tmp_path / "any.csv"
    records = [header, *(row[: len(header)] for row in rows)]
    quoted = [";".join('"' + field.replace('"', '""') + '"' for field in row) for row in records]
    path.write_text("\n".join(quoted) + "\n")
    said = "this line names any.csv"
    with suppress(LoanScoringError):
        try:
            drafted(path)
        except LoanScoringError as error:
            said = str(error)
            raise
    assert "any.csv" in said
    assert "\n" not in said
