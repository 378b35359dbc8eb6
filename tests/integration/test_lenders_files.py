"""Files as lenders write them become batches: any format, several files, keys of every kind."""

import csv
import io
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from loan_scoring import database, settings
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import ContractError, PassingSourceError, SourceError, StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.corrections import replay_corrections
from loan_scoring.ingest.landing import find_applications_file
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.ingest.spreadsheet import export_quarantine
from loan_scoring.monitoring.alerts.landing import reconcile_landing
from loan_scoring_web.pages.batch import read_batch_page

pytestmark = pytest.mark.integration

NIGHT, NEXT = "2026-01-05", "2026-01-06"
COLUMNS = [
    ("nr", "loan_id", {"type": "integer"}),
    ("amount", "amount_eur", {"type": "number", "range": [0, None]}),
    ("income", "income_eur", {"type": "number", "range": [0, None]}),
    ("job", "job", {"type": "category", "levels": ["fixed", "freelance", "none"]}),
]
HEADER = ["nr", "amount", "income", "job", "status", "sub"]
ROW_KEY = {"source": None, "made_from": "row", "type": "uuid"}
LINE_KEY = {"source": None, "made_from": "line", "type": "text"}
PAIR_KEY = {"source": ["nr", "sub"], "type": "text"}
Lender = Callable[..., Any]


def contract_of(key: dict[str, Any], job: Sequence[str], **fields: Any) -> dict[str, Any]:
    header = fields.get("source", {}).get("header", True)
    place = {name: name if header else HEADER.index(name) + 1 for name in HEADER}
    columns = [
        {"source": place[source], "name": name, "label": name, "known": "application"} | more
        for source, name, more in COLUMNS
    ]
    columns[0] |= key
    columns[-1]["levels"] = list(job)
    return {
        "portfolio": "lender", "title": "t", "owner": "risk", "columns": columns,
        "target": {"source": place["status"], "positive": ["bad"], "negative": ["paid"]},
        "decision": {"approve_below": 0.1, "decline_from": 0.3},
    } | fields  # fmt: skip


@pytest.fixture
def lender(
    tmp_path: Path, new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> Lender:
    """Return a function that writes a contract and opens a session with it."""
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path / "data"))
    (settings.landing_dir("lender") / "applications").mkdir(parents=True)
    url = new_database()

    @contextmanager
    def enter(
        key: dict[str, Any] | None = None,
        job: Sequence[str] = ("fixed", "freelance", "none"),
        **fields: Any,
    ) -> Iterator[Session]:
        raw = contract_of(key or {}, job, **fields)
        (tmp_path / "lender.yaml").write_text(yaml.safe_dump(raw))
        with open_session("lender", url, migrates=True) as session:
            yield session

    return enter


def loans(first: int = 1, count: int = 39, job: Sequence[str] = ("fixed", "freelance")) -> list:
    draw = random.Random(first)  # noqa: S311 - test data
    return [
        [str(nr), f"{draw.uniform(5e3, 4e4):.2f}", f"{draw.uniform(2e3, 9e3):.2f}",
         job[nr % len(job)], "bad" if nr % 4 == 0 else "paid", str(1 + nr % 2)]
        for nr in range(first, first + count)
    ]  # fmt: skip


def written(
    path: Path, rows: list, between: str = ",", encoding: str = "utf-8", header: bool = True
) -> Path:
    lines = [between.join(row) for row in ([HEADER] * header + rows)]
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode(encoding))
    return path


def landed(name: str, rows: list, **options: Any) -> Path:
    return written(settings.landing_dir("lender") / "applications" / name, rows, **options)


def select(session: Session, query: str) -> list[list]:
    return database.select_read_only(session.connection, query)[1]


def exported(session: Session, batch_id: str) -> list[dict[str, str]]:
    text = io.StringIO()
    export_quarantine(session, batch_id, text)
    return list(csv.DictReader(io.StringIO(text.getvalue().removeprefix("\ufeff"))))


def corrected(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as out:
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


# Formats


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ({}, {"between": "|"}),
        ({"header": False}, {"between": "|", "header": False}),
        ({"header": False, "delimiter": "blank"}, {"between": "   ", "header": False}),
        ({"delimiter": "blank"}, {"between": " "}),
        ({"encoding": "cp1252", "delimiter": "tab"}, {"between": "\t", "encoding": "cp1252"}),
        ({"encoding": "utf-16", "ignore_case": True}, {"between": ";", "encoding": "utf-16"}),
    ],
    ids=["pipe", "pipe_headerless", "blanks_headerless", "space", "cp1252_declared", "utf-16"],
)
def test_a_labelled_file_in_any_format_becomes_history_with_outcomes(
    lender: Lender, tmp_path: Path, source: dict[str, Any], options: dict[str, Any]
) -> None:
    rows = loans()
    rows[3][1] = "-5"
    with lender(source=source) as session:
        batch = ingest_batch(session, "history", written(tmp_path / "f.csv", rows, **options))
        assert (batch.received, batch.accepted, batch.quarantined) == (39, 38, 1)
        counts = "select count(*), count(*) filter (where is_default) from outcomes"
        assert select(session, counts) == [[38, 8]]
        first = 1 + options.get("header", True)
        lines = "select line, rules from quarantined_lines where batch_id = 'history'"
        assert select(session, lines) == [[first + 3, ["out_of_range:amount_eur"]]]
        mended = exported(session, "history")
        amount = "amount" if options.get("header", True) else "2"
        mended[0][amount] = "5"
        replayed = replay_corrections(session, "history", corrected(tmp_path / "c.csv", mended))
        assert (replayed.mended, replayed.quarantined) == (1, 0)
        assert select(session, "select count(*) from outcomes") == [[39]]


def test_cp1252_is_read_where_it_is_declared_and_named_where_it_is_not(
    lender: Lender, tmp_path: Path
) -> None:
    job = ("fixed", "angestellt €")
    path = written(tmp_path / "f.csv", loans(job=job), encoding="cp1252")
    undeclared = r"20 of the first 39 records are not utf-8; declare source\.encoding"
    with lender(job=job) as session, pytest.raises(SourceError, match=undeclared):
        ingest_batch(session, "history", path)
    # € has another place in latin-1, so that the text is no level of the contract.
    with (
        lender(job=job, source={"encoding": "latin-1"}) as session,
        pytest.raises(SourceError, match="unknown_level:job 20"),
    ):
        ingest_batch(session, "history", path)
    with lender(job=job, source={"encoding": "cp1252"}) as session:
        assert ingest_batch(session, "history", path).accepted == 39
        assert select(session, "select distinct job from current_applications order by job") == [
            ["angestellt €"],
            ["fixed"],
        ]


def test_the_same_bytes_are_read_anew_under_another_format(lender: Lender, tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", loans(), between="|")
    with lender() as session:
        assert ingest_batch(session, "history", path).revision == 1
        assert ingest_batch(session, "history", path).is_unchanged
    with lender(source={"delimiter": "|"}) as session:
        again = ingest_batch(session, "history", path)
        assert (again.revision, again.is_unchanged) == (2, False)


# Keys of several columns


def test_two_columns_of_one_name_say_how_a_key_of_several_is_declared(lender: Lender) -> None:
    with pytest.raises(ContractError, match=r"one key as source: \[A, B\]"), lender(
        columns=[
            {"source": name, "name": "loan_id", "label": "Nr", "type": "integer",
             "known": "application"} for name in ("nr", "sub")
        ]
    ):  # fmt: skip
        pass


def test_a_key_of_several_columns_goes_from_file_to_outcome(lender: Lender, tmp_path: Path) -> None:
    rows = loans()
    rows[1][0] = rows[0][0]  # the same nr with another sub is another loan
    rows[3][:] = rows[2]  # the same pair is the same loan
    rows[4][5] = ""
    with lender(PAIR_KEY, ingest={"max_quarantined_share": 0.5}) as session:
        batch = ingest_batch(session, NIGHT, written(tmp_path / "f.csv", rows))
        assert (batch.accepted, batch.quarantined) == (37, 2)
        assert select(session, "select line, rules from quarantined_lines order by 1") == [
            [5, ["duplicate_key:loan_id"]],
            [6, ["null_key:loan_id"]],
        ]
        keys = [key for (key,) in select(session, "select loan_id from current_applications")]
        assert {"1:2", "1:1", "3:2"} <= {*keys}
        mended = exported(session, NIGHT)
        mended[1]["sub"] = "7"
        replay_corrections(session, NIGHT, corrected(tmp_path / "c.csv", mended[1:]))
        assert select(session, "select count(*) from current_applications where loan_id = '5:7'")
        stated = tmp_path / f"{NEXT}.csv"
        stated.write_text("sub,nr,status\n2,1,bad\n1,1,paid\n9,9,paid\n")
        taken = take_outcomes(session, stated)
        assert (taken.accepted, taken.quarantined) == (2, 1)
        assert select(session, "select loan_id, is_default from outcomes order by 1") == [
            ["1:1", False],
            ["1:2", True],
        ]


# Keys made from rows


def test_a_key_made_from_the_row_is_the_same_in_every_file(lender: Lender, tmp_path: Path) -> None:
    rows = loans()
    rows[1] = list(rows[0])
    rows[2][1] = "-5"
    with lender(ROW_KEY, ingest={"max_quarantined_share": 0.5}) as session:
        batch = ingest_batch(session, NIGHT, written(tmp_path / "f.csv", rows))
        assert batch.quarantined == 2
        assert select(session, "select line, rules from quarantined_lines order by 1") == [
            [3, ["duplicate_key:loan_id"]],
            [4, ["out_of_range:amount_eur"]],
        ]
        known = ingest_batch(session, NEXT, written(tmp_path / "g.csv", [rows[0], *loans(90, 9)]))
        assert known.quarantined == 1
        sheet = exported(session, NIGHT)
        made = sheet[1]["loan_id"]
        sheet[1]["amount"] = "5"
        replay_corrections(session, NIGHT, corrected(tmp_path / "c.csv", sheet[1:]))
        mended = f"select amount_eur from current_applications where loan_id = '{made}'"
        assert select(session, mended) == [[5.0]]
        stated = tmp_path / f"{NEXT}.csv"
        stated.write_text(f"loan_id,status\n{made},bad\n")
        assert take_outcomes(session, stated).accepted == 1


def test_history_with_keys_made_from_rows_has_outcomes_also_of_corrected_rows(
    lender: Lender, tmp_path: Path
) -> None:
    rows = loans()
    rows[2][1] = "-5"
    with lender(ROW_KEY) as session:
        ingest_batch(session, "history", written(tmp_path / "f.csv", rows))
        assert select(session, "select count(*) from outcomes") == [[38]]
        sheet = exported(session, "history")
        sheet[0]["amount"] = "5"
        replay_corrections(session, "history", corrected(tmp_path / "c.csv", sheet))
        joined = "select count(*) from current_applications join outcomes using (loan_id)"
        assert select(session, joined) == [[39]]


def test_a_row_that_stays_broken_keeps_the_key_of_the_row_as_delivered(
    lender: Lender, tmp_path: Path
) -> None:
    rows = loans()
    rows[2][1] = rows[3][1] = "-5"
    with lender(ROW_KEY) as session:
        ingest_batch(session, NIGHT, written(tmp_path / "f.csv", rows))
        sheet = exported(session, NIGHT)
        keys = [row["loan_id"] for row in sheet]
        sheet[0]["amount"], sheet[1]["amount"] = "5", "-6"
        replay_corrections(session, NIGHT, corrected(tmp_path / "c.csv", sheet))
        (left,) = exported(session, NIGHT)
        assert left["loan_id"] == keys[1]


def test_a_key_made_from_file_and_line_tells_equal_rows_apart(
    lender: Lender, tmp_path: Path
) -> None:
    rows = loans()
    rows[1] = list(rows[0])
    with lender(LINE_KEY) as session:
        assert ingest_batch(session, NIGHT, written(tmp_path / "f.csv", rows)).accepted == 39
        keys = "select loan_id from current_applications order by line_number limit 2"
        assert select(session, keys) == [["f.csv:2"], ["f.csv:3"]]
        renamed = written(tmp_path / "g.csv", rows)
        assert ingest_batch(session, NIGHT, renamed).is_unchanged
        assert ingest_batch(session, NEXT, renamed).accepted == 39


# Several files a night


@pytest.fixture
def parts(lender: Lender) -> Iterator[tuple[Session, Path, Path]]:
    """A night that landed in two files, each with a refused row on its line 4."""
    north, south = loans(), loans(101)
    north[2][1] = south[2][1] = "-5"
    south[5] = list(north[5])
    with lender(ingest={"files": "several", "settled_seconds": 0}) as session:
        first = landed(f"{NIGHT}-north.csv", north)
        second = landed(f"{NIGHT}.part-2.csv", south)
        landed(f"{NEXT}-north.csv", loans(501))
        yield session, first, second


def test_several_files_are_one_batch_whose_lines_stay_apart(
    parts: tuple[Session, Path, Path], tmp_path: Path
) -> None:
    session, north, south = parts
    batch = ingest_batch(session, NIGHT, find_applications_file(session, NIGHT))
    assert (batch.received, batch.accepted, batch.quarantined) == (78, 75, 3)
    lines = "select file, line, rules from quarantined_lines order by line_number"
    assert select(session, lines) == [
        [north.name, 4, ["out_of_range:amount_eur"]],
        [south.name, 4, ["out_of_range:amount_eur"]],
        [south.name, 7, ["duplicate_key:loan_id"]],
    ]
    again = ingest_batch(session, NIGHT, find_applications_file(session, NIGHT))
    assert again.is_unchanged
    page = read_batch_page(session, NIGHT)
    assert page is not None
    assert [(each["file"], each["records"], each["quarantined"]) for each in page["files"]] == [
        (north.name, 39, 1),
        (south.name, 39, 2),
    ]
    sheet = exported(session, NIGHT)
    assert [(row["file"], row["line_number"]) for row in sheet] == [
        (north.name, "4"),
        (south.name, "4"),
        (south.name, "7"),
    ]
    sheet[1]["amount"] = "5"
    wrong = [{**sheet[1], "file": "2026-01-05-west.csv"}]
    with pytest.raises(SourceError, match=r"line_number 4 of .*west\.csv is not in"):
        replay_corrections(session, NIGHT, corrected(tmp_path / "w.csv", wrong))
    mended = replay_corrections(session, NIGHT, corrected(tmp_path / "c.csv", sheet[1:2]))
    assert (mended.mended, mended.quarantined) == (1, 2)
    amounts = "select loan_id from current_applications where amount_eur = 5"
    assert select(session, amounts) == [[103]]
    assert [row["file"] for row in exported(session, NIGHT)] == [north.name, south.name]


def test_a_further_or_changed_file_is_a_new_revision_and_is_told(
    parts: tuple[Session, Path, Path],
) -> None:
    session, _, south = parts
    now = datetime.now(UTC) + timedelta(days=1)
    ingest_batch(session, NIGHT, find_applications_file(session, NIGHT))
    ingest_batch(session, NEXT, find_applications_file(session, NEXT))
    assert [f for f in reconcile_landing(session, now) if f.finding != "missing"] == []
    west = landed(f"{NIGHT}-west.csv", loans(901))
    landed(south.name, loans(101))
    found = [f for f in reconcile_landing(session, now) if f.finding != "missing"]
    assert sorted((f.finding, f.subject.split(" ")[0]) for f in found) == [
        ("changed", f"applications/{south.name}"),
        ("untaken", f"applications/{west.name}"),
    ]
    again = ingest_batch(session, NIGHT, find_applications_file(session, NIGHT))
    assert (again.revision, again.received) == (2, 117)
    assert [f for f in reconcile_landing(session, now) if f.finding != "missing"] == []


def test_rows_that_move_from_file_to_file_are_new_bytes(lender: Lender) -> None:
    rows = loans()
    with lender(ingest={"files": "several", "settled_seconds": 0}) as session:
        landed(f"{NIGHT}-a.csv", rows[:20])
        landed(f"{NIGHT}-b.csv", rows[20:])
        ingest_batch(session, NIGHT, find_applications_file(session, NIGHT))
        landed(f"{NIGHT}-a.csv", rows[:19])
        landed(f"{NIGHT}-b.csv", rows[19:])
        again = ingest_batch(session, NIGHT, find_applications_file(session, NIGHT))
        assert (again.revision, again.accepted) == (2, 39)


def test_a_file_whose_header_differs_refuses_the_night(lender: Lender) -> None:
    with lender(ingest={"files": "several", "settled_seconds": 0}) as session:
        landed(f"{NIGHT}-a.csv", loans())
        other = landed(f"{NIGHT}-b.csv", loans(101))
        other.write_text(other.read_text().replace("job", "occupation"))
        with pytest.raises(SourceError, match=rf"{NIGHT}-b\.csv: column job missing"):
            ingest_batch(session, NIGHT, find_applications_file(session, NIGHT))


def test_the_history_may_land_in_several_files(lender: Lender) -> None:
    bad = loans(101)
    bad[0][4] = "unheard of"
    with lender(ingest={"files": "several", "settled_seconds": 0}) as session:
        landed("history.part-1.csv", loans())
        landed("history.part-2.csv", bad)
        ingest_batch(session, "history", find_applications_file(session, "history"))
        assert select(session, "select count(*) from outcomes") == [[77]]
        lines = "select file, line, rules from quarantined_lines"
        assert select(session, lines) == [["history.part-2.csv", 2, ["unknown_level:status"]]]


def test_declared_files_must_all_have_landed(lender: Lender) -> None:
    with lender(ingest={"files": ["north", "south"], "settled_seconds": 0}) as session:
        landed(f"{NIGHT}-north.csv", loans())
        with pytest.raises(PassingSourceError, match=f"no file south .*{NIGHT}-south.csv"):
            find_applications_file(session, NIGHT)
        south = landed(f"{NIGHT}.south.csv", loans(101))
        assert len(find_applications_file(session, NIGHT)) == 2
        west = landed(f"{NIGHT}-west.csv", loans(201))
        with pytest.raises(SourceError, match=r"west\.csv, which ingest\.files"):
            find_applications_file(session, NIGHT)
        west.rename(west.with_name(f"{NIGHT}-south.csv"))
        with pytest.raises(SourceError, match="the same part"):
            find_applications_file(session, NIGHT)
        south.unlink()
        empty = west.with_name(f"{NIGHT}.EMPTY")
        empty.touch()
        with pytest.raises(SourceError, match="is empty, and also"):
            find_applications_file(session, NIGHT)


def test_each_file_must_be_whole(lender: Lender) -> None:
    with lender(ingest={"files": "several", "settled_seconds": 60}) as session:
        settled, fresh = landed(f"{NIGHT}-a.csv", loans()), landed(f"{NIGHT}-b.csv", loans(101))
        long_ago = time.time() - 600
        os.utime(settled, (long_ago, long_ago))
        with pytest.raises(PassingSourceError, match=rf"{fresh.name}: this file changed less"):
            find_applications_file(session, NIGHT)
        fresh.with_name(fresh.name + ".done").touch()
        assert len(find_applications_file(session, NIGHT)) == 2


def test_each_file_has_its_own_manifest(lender: Lender) -> None:
    manifest = {"sha256": None, "totals": {"amount_eur": "amounts"}}
    with lender(ingest={"files": "several", "manifest": manifest}) as session:
        paths = [landed(f"{NIGHT}-{name}.csv", loans(first)) for name, first in
                 (("a", 1), ("b", 101))]  # fmt: skip

        def say(path: Path, rows: int, amounts: float) -> None:
            beside = path.with_name(path.name + ".manifest.json")
            beside.write_text(json.dumps({"rows": rows, "amounts": amounts}))

        sums = [sum(float(row[1]) for row in loans(first)) for first in (1, 101)]
        say(paths[0], 39, sums[0])
        with pytest.raises(PassingSourceError, match=r"b\.csv: its manifest .* has not landed"):
            find_applications_file(session, NIGHT)
        say(paths[1], 39, sums[0])
        with pytest.raises(PassingSourceError, match=r"b\.csv\.manifest\.json.*sum of amount_eur"):
            ingest_batch(session, NIGHT, find_applications_file(session, NIGHT))
        say(paths[1], 39, sums[1])
        say(paths[0].with_name(f"{NIGHT}-c.csv"), 0, 0)
        files = find_applications_file(session, NIGHT)
        assert [path.name for path in files][-1] == f"{NIGHT}-c.csv.manifest.json"
        assert ingest_batch(session, NIGHT, files).accepted == 78


def test_a_file_declared_empty_is_a_part_without_rows(lender: Lender) -> None:
    with lender(ingest={"files": ["a", "b"], "settled_seconds": 0}) as session:
        landed(f"{NIGHT}-a.csv", loans())
        path = settings.landing_dir("lender") / "applications" / f"{NIGHT}-b.EMPTY"
        path.touch()
        batch = ingest_batch(session, NIGHT, find_applications_file(session, NIGHT))
        assert batch.accepted == 39
        now = datetime.now(UTC) + timedelta(days=1)
        assert [f for f in reconcile_landing(session, now) if f.finding != "missing"] == []


def test_without_the_declaration_several_files_are_not_taken(lender: Lender) -> None:
    with lender(ingest={"settled_seconds": 0}) as session:
        landed(f"{NIGHT}-north.csv", loans())
        with pytest.raises(PassingSourceError, match=r"need ingest\.files: several"):
            find_applications_file(session, NIGHT)


def test_keys_made_from_lines_name_the_file_of_several(lender: Lender) -> None:
    with lender(LINE_KEY, ingest={"files": "several", "settled_seconds": 0}) as session:
        landed(f"{NIGHT}-a.csv", loans())
        landed(f"{NIGHT}-b.csv", loans(101))
        ingest_batch(session, NIGHT, find_applications_file(session, NIGHT))
        keys = "select loan_id from current_applications where loan_id like '%:2' order by 1"
        assert select(session, keys) == [[f"{NIGHT}-a.csv:2"], [f"{NIGHT}-b.csv:2"]]


def test_a_withdrawn_set_of_files_is_not_taken_again(parts: tuple[Session, Path, Path]) -> None:
    from loan_scoring.ingest.withdrawal import withdraw_batch

    session, *_ = parts
    ingest_batch(session, NIGHT, find_applications_file(session, NIGHT))
    withdraw_batch(session, NIGHT, "cli:tests", "a test")
    with pytest.raises(StateError, match="withdr"):
        ingest_batch(session, NIGHT, find_applications_file(session, NIGHT))
