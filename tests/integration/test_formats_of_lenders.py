"""Files as lenders write them are read by what the contract declares, and refused without it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from loan_scoring import database
from loan_scoring.database.session import open_session
from loan_scoring.errors import SourceError
from loan_scoring.ingest.batches import ingest_batch

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
ROWS = [(1, 7151.03, 7748.96, 19.57, "freelance"), (2, 25024.04, 4485.83, 16.99, "fixed"),
        (3, 24648.9, 8125.2, 10.97, "none")]  # fmt: skip
COLUMNS = {
    "nr": {"name": "loan_id", "type": "integer"},
    "amount": {"name": "amount_eur", "type": "number", "range": [0, None]},
    "income": {"name": "income_eur", "type": "number", "range": [0, None]},
    "rate": {"name": "rate_percent", "type": "number"},
    "job": {"name": "job", "type": "category", "levels": ["fixed", "freelance", "none"]},
}
GERMAN = {"decimal": ",", "thousands": "."}
MONEY = {"type": "money", "thousands": ",", "currency": "$"}
CASES: dict[str, tuple[list[str], dict[str, dict[str, Any]], str]] = {
    "decimal_comma": (
        ["1;7151,03;7748,96;19,57;freelance", "2;25024,04;4485,83;16,99;fixed",
         "3;24648,9;8125,2;10,97;none"],
        {name: {"decimal": ","} for name in ("amount", "income", "rate")},
        "not_a_number:amount_eur",
    ),
    "german_thousands": (
        ["1;7.151,03;7.748,96;19,57;freelance", "2;25.024,04;4.485,83;16,99;fixed",
         "3;24.648,90;8.125,20;10,97;none"],
        dict.fromkeys(("amount", "income", "rate"), GERMAN),
        "not_a_number:amount_eur",
    ),
    "thousands": (
        ['1,"7,151.03","7,748.96",19.57,freelance', '2,"25,024.04","4,485.83",16.99,fixed',
         '3,"24,648.90","8,125.20",10.97,none'],
        {name: {"thousands": ","} for name in ("amount", "income")},
        "not_a_number:amount_eur",
    ),
    "money": (
        ['1,"$7,151.03 ","$7,748.96 ",19.57,freelance', '2,"$25,024.04 ","$4,485.83 ",16.99,fixed',
         '3,"$24,648.90 ","$8,125.20 ",10.97,none'],
        dict.fromkeys(("amount", "income"), MONEY),
        "not_a_number:amount_eur",
    ),
    "percent": (
        ["1,7151.03,7748.96,19.57%,freelance", "2,25024.04,4485.83,16.99%,fixed",
         "3,24648.9,8125.2,10.97%,none"],
        {"rate": {"type": "percent"}},
        "not_a_number:rate_percent",
    ),
    "case_levels": (
        ["1,7151.03,7748.96,19.57,Freelance", "2,25024.04,4485.83,16.99,Fixed",
         "3,24648.9,8125.2,10.97,None"],
        {"job": {"ignore_case": True}},
        "unknown_level:job",
    ),
}  # fmt: skip


def write(folder: Path, columns: dict[str, dict[str, Any]]) -> None:
    raw = {
        "portfolio": "lender", "title": "t", "owner": "risk",
        "target": {"source": "status", "positive": ["bad"], "negative": ["paid"]},
        "columns": [
            {"source": source, "label": source, "known": "application"} | fields
            for source, fields in columns.items()
        ],
        "decision": {"approve_below": 0.1, "decline_from": 0.3},
    }  # fmt: skip
    (folder / "lender.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


@pytest.fixture
def url(tmp_path: Path, new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    return new_database()


@pytest.mark.parametrize("case", CASES)
def test_declared_notation_is_read(case: str, url: str, tmp_path: Path) -> None:
    lines, declared, broken = CASES[case]
    header = ";" if ";" in lines[0] else ","
    path = tmp_path / "loans.csv"
    path.write_text("\n".join([header.join(COLUMNS), *lines]) + "\n")
    write(tmp_path, COLUMNS)
    with (
        open_session("lender", url, migrates=True) as session,
        pytest.raises(SourceError, match=broken),
    ):
        ingest_batch(session, NIGHT, path)
    write(tmp_path, {name: each | declared.get(name, {}) for name, each in COLUMNS.items()})
    with open_session("lender", url, migrates=True) as session:
        assert ingest_batch(session, NIGHT, path).accepted == len(ROWS)
        names = ", ".join(each["name"] for each in COLUMNS.values())
        query = f"select {names} from current_applications order by 1"
        assert database.select_read_only(session.connection, query)[1] == list(map(list, ROWS))


def test_flags_dates_and_texts_have_types_of_their_own(url: str, tmp_path: Path) -> None:
    path = tmp_path / "loans.csv"
    path.write_text(
        "nr,own,day,first,at,note,ref\n"
        '1,Y,2026-01-05,Jan-1985,05.01.2026 13:30,"a, b",7D444840-9DC0-11D1-B245-5FFDCE74FAD2\n'
        "2,N,2024-02-29,Dec-2001,05.07.2026 13:30,,\n"
        "3,,,,,,\n"
        "4,maybe,2026-02-30,1985,noon,x,7\n"
    )
    write(
        tmp_path,
        {
            "nr": {"name": "loan_id", "type": "integer"},
            "own": {"name": "owns_home", "type": "boolean", "is_true": ["Y"], "is_false": ["N"],
                    "max_null_share": 1},
            "day": {"name": "applied_on", "type": "date"},
            "first": {"name": "first_credit", "type": "date", "format": "%b-%Y"},
            "at": {"name": "applied_at", "type": "datetime", "format": ["%d.%m.%Y %H:%M"]},
            "note": {"name": "note", "type": "text"},
            "ref": {"name": "reference", "type": "uuid"},
        },
    )  # fmt: skip
    raw = yaml.safe_load((tmp_path / "lender.yaml").read_text())
    raw |= {"schedules": {"timezone": "Europe/Berlin"}, "ingest": {"max_quarantined_share": 0.5}}
    (tmp_path / "lender.yaml").write_text(yaml.safe_dump(raw))
    with open_session("lender", url, migrates=True) as session:
        landed = ingest_batch(session, NIGHT, path)
        assert (landed.accepted, landed.quarantined) == (3, 1)
        _, rows = database.select_read_only(
            session.connection,
            "select owns_home, applied_on::text, first_credit::text,"
            " (applied_at at time zone 'UTC')::text, note, reference::text"
            " from current_applications order by loan_id",
        )
        assert rows == [
            [True, "2026-01-05", "1985-01-01", "2026-01-05 12:30:00", "a, b",
             "7d444840-9dc0-11d1-b245-5ffdce74fad2"],
            [False, "2024-02-29", "2001-12-01", "2026-07-05 11:30:00", None, None],
            [None] * 6,
        ]  # fmt: skip
        _, ((rules,),) = database.select_read_only(
            session.connection, "select rules from quarantine"
        )
        assert rules == [
            "not_a_boolean:owns_home", "not_a_date:applied_on", "not_a_date:first_credit",
            "not_a_date:applied_at", "not_a_uuid:reference",
        ]  # fmt: skip
        _, types = database.select_read_only(
            session.connection,
            "select data_type from information_schema.columns where table_schema = 'lender'"
            " and table_name = 'applications' and column_name in"
            " ('owns_home', 'applied_on', 'applied_at', 'note', 'reference') order by column_name",
        )
        assert [name for (name,) in types] == [
            "timestamp with time zone", "date", "text", "boolean", "uuid"
        ]  # fmt: skip


def test_files_of_earlier_and_later_dates_may_lack_a_column(url: str, tmp_path: Path) -> None:
    columns = {
        "nr": {"name": "loan_id", "type": "integer"},
        "score": {"name": "score", "type": "integer", "since": "2026-03-01"},
        "fax": {"name": "has_fax", "type": "boolean", "retired": "2026-04-01"},
        "hint": {"name": "hint", "type": "category", "levels": "free", "optional": True},
    }
    write(tmp_path, columns)

    def file(header: str, first: int) -> Path:
        path = tmp_path / f"{first}.csv"
        values = {"nr": "{}", "score": "7", "fax": "true", "hint": "x", "status": "paid"}
        line = ",".join(values[name] for name in header.split(","))
        path.write_text("\n".join([header, *(line.format(first + n) for n in range(3))]) + "\n")
        return path

    with open_session("lender", url, migrates=True) as session:
        assert ingest_batch(session, "history", file("nr,fax,status", 10)).accepted == 3
        assert ingest_batch(session, "2026-02-28", file("nr,fax", 20)).accepted == 3
        with pytest.raises(SourceError, match="column score missing from the header"):
            ingest_batch(session, "2026-03-01", file("nr,fax", 30))
        assert ingest_batch(session, "2026-03-01", file("nr,score,fax,hint", 30)).accepted == 3
        with pytest.raises(SourceError, match="column fax missing from the header"):
            ingest_batch(session, "2026-03-31", file("nr,score", 40))
        assert ingest_batch(session, "2026-04-01", file("nr,score", 50)).accepted == 3
        _, rows = database.select_read_only(
            session.connection,
            "select batch_id, min(score), bool_and(has_fax), min(hint)"
            " from current_applications group by 1 order by 1",
        )
        assert rows == [
            ["2026-02-28", None, True, None], ["2026-03-01", 7, True, "x"],
            ["2026-04-01", 7, None, None], ["history", None, True, None],
        ]  # fmt: skip
