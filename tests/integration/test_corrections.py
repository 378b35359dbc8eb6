"""Corrections: corrected rows are accepted, and nothing else changes."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError, StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.corrections import replay_corrections
from loan_scoring.ingest.spreadsheet import export_quarantine
from loan_scoring.lab.replay import Replay

pytestmark = pytest.mark.integration

NIGHT, NEXT = "2026-01-05", "2026-01-06"
Edit = Callable[[dict[str, str]], None]


def select(session: Session, query: str) -> list[list]:
    return database.select_read_only(session.connection, query)[1]


def state(session: Session) -> list[list]:
    return [
        *select(session, "select batches::text from batches order by batch_id, revision"),
        *select(session, "select applications::text from applications order by 1"),
        *select(session, "select quarantine::text from quarantine order by 1"),
    ]


@pytest.fixture
def night(empty: Session, drops: Replay, tmp_path: Path) -> Path:
    """An ingested night of 1,000 rows: line 3 has two faults, 5 is malformed, 8 repeats 7."""
    lines = drops.application_files[NIGHT].read_text().splitlines()
    header = lines[0].split(",")
    fields = lines[2].split(",")
    fields[header.index("income")] = "much"
    fields[header.index("Gender")] = "?"
    lines[2], lines[4], lines[7] = ",".join(fields), "a,b", lines[6]
    path = tmp_path / "night.csv"
    path.write_text("\n".join(lines) + "\n")
    landed = ingest_batch(empty, NIGHT, path)
    assert (landed.received, landed.accepted, landed.quarantined) == (1000, 997, 3)
    return path


def exported(session: Session, batch_id: str = NIGHT) -> list[dict[str, str]]:
    out = io.StringIO()
    export_quarantine(session, batch_id, out)
    return list(csv.DictReader(io.StringIO(out.getvalue().removeprefix("\ufeff"))))


def corrected(session: Session, path: Path, edits: dict[str, Edit], **dialect) -> Path:
    """Export the quarantine, edit the rows of some lines, and write only these to a file."""
    rows = [row for row in exported(session) if row["line_number"] in edits]
    for row in rows:
        edits[row["line_number"]](row)
    with path.open("w", newline="", encoding="utf-8-sig") as out:
        writer = csv.DictWriter(out, list(rows[0]), **dialect)
        writer.writeheader()
        writer.writerows(rows)
    return path


def mend_income(row: dict[str, str]) -> None:
    row.update(income="5760", Gender="Joint")


def leave(row: dict[str, str]) -> None:
    pass


def filled_from(source: Path, line: int, key: str) -> Edit:
    """Fill in a malformed record with the values of another line and a key of its own."""
    header, *_ = lines = source.read_text().splitlines()
    return lambda row: row.update(
        dict(zip(header.split(","), lines[line - 1].split(","), strict=True)), ID=key
    )


def test_export_has_the_sources_columns_and_what_is_wrong(
    empty: Session, night: Path, drops: Replay
) -> None:
    rows = exported(empty)
    source_header = night.read_text().splitlines()[0].split(",")
    assert list(rows[0]) == ["line_number", "rules", *source_header, "raw_text"]
    assert [(row["line_number"], row["rules"], row["raw_text"]) for row in rows] == [
        ("3", "unknown_level:gender not_a_number:income_usd_per_month", ""),
        ("5", "field_count", "a,b"),
        ("8", "duplicate_key:loan_id", ""),
    ]
    assert rows[0]["income"] == "much"
    assert {rows[1][name] for name in source_header} == {""}


def test_no_cell_is_a_formula_and_unchanged_values_come_back_unchanged(
    empty: Session, drops: Replay, tmp_path: Path
) -> None:
    lines = drops.application_files[NIGHT].read_text().splitlines()
    header = [*lines[0].split(","), "=1+1"]  # a column that nobody reads
    cells = ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "'=1", "''@x", "it's", "-5.5"]
    rows = [[*line.split(","), "="] for line in lines[1 : len(cells) + 1]]
    for cell, fields in zip(cells, rows, strict=True):
        fields[header.index("Gender")], fields[header.index("income")] = cell, "much"
    rest = [[*line.split(","), ""] for line in lines[len(cells) + 1 :]]
    path = tmp_path / "night.csv"
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows([header, *rows, *rest, ["=cmd()", "x"]])
    ingest_batch(empty, NIGHT, path)
    raw = "select line_number, raw_text from quarantine where revision = {} order by 1"
    before = select(empty, raw.format(1))
    shown = exported(empty)
    assert [row["Gender"] for row in shown[:-1]] == [
        "'=1+1", "'+cmd", "'-2+3", "'@SUM(A1)", "'\t=1", "''=1", "'''@x", "it's", "-5.5",
    ]  # fmt: skip
    for row in shown:
        for text in [*row, *row.values()]:
            assert not text.startswith(("=", "+", "@", "\t"))
    # One row is mended; of the others only the income is changed, and breaks another rule.
    edits: dict[str, Edit] = {str(n): lambda row: row.update(income="-1") for n in range(3, 11)}
    fixed = corrected(empty, tmp_path / "1.csv", edits | {"2": mend_income})
    assert replay_corrections(empty, NIGHT, fixed).mended == 1
    after = select(empty, raw.format(2))
    assert [line for line, _ in after] == [line for line, _ in before[1:]]
    parted = [next(csv.reader([text])) for _, text in after[:-1]]
    assert [fields[header.index("Gender")] for fields in parted] == cells[1:]
    assert {fields[header.index("income")] for fields in parted} == {"-1"}
    assert {fields[-1] for fields in parted} == {"="}
    assert after[-1] == before[-1]


def test_corrected_rows_join_the_accepted_ones_in_a_new_revision(
    empty: Session, night: Path, tmp_path: Path
) -> None:
    path = corrected(
        empty,
        tmp_path / "corrected.csv",
        {"3": mend_income, "5": filled_from(night, 2, "900001"), "8": leave},
        delimiter=";",
    )
    replayed = replay_corrections(empty, NIGHT, path)
    assert (replayed.revision, replayed.mended) == (2, 2)
    assert select(
        empty,
        "select revision, is_current, state, received, accepted, quarantined, source,"
        " corrects_revision from batches order by revision",
    ) == [
        [1, False, "published", 1000, 997, 3, str(night), None],
        [2, True, "published", 1000, 999, 1, f"corrected: {path}", 1],
    ]
    assert select(
        empty,
        "select line_number, income_usd_per_month from current_applications"
        " where line_number in (3, 5) order by 1",
    )[0] == [3, 5760.0]
    assert select(empty, "select count(*) from current_applications") == [[999]]
    assert select(empty, "select revision, line_number, rules from quarantine order by 1, 2") == [
        [1, 3, ["unknown_level:gender", "not_a_number:income_usd_per_month"]],
        [1, 5, ["field_count"]],
        [1, 8, ["duplicate_key:loan_id"]],
        [2, 8, ["duplicate_key:loan_id"]],
    ]
    # Unchanged rows are kept as the source wrote them.
    raw = select(empty, "select raw_text from quarantine where line_number = 8")
    assert raw[0] == raw[1] == [night.read_text().splitlines()[6]]


def test_accepted_rows_are_carried_value_for_value(
    empty: Session, night: Path, tmp_path: Path
) -> None:
    replay_corrections(empty, NIGHT, corrected(empty, tmp_path / "c.csv", {"3": mend_income}))
    assert select(
        empty,
        "select line_number from (select to_jsonb(a) - 'revision' as loan from applications a"
        " where revision = 2 except select to_jsonb(a) - 'revision' from applications a"
        " where revision = 1) as added, jsonb_to_record(loan) as l(line_number int)",
    ) == [[3]]
    assert select(empty, "select revision, count(*) from applications group by 1 order by 1") == [
        [1, 997],
        [2, 998],
    ]


def test_rows_that_were_not_corrected_stay_in_quarantine(
    empty: Session, night: Path, tmp_path: Path
) -> None:
    replayed = replay_corrections(
        empty, NIGHT, corrected(empty, tmp_path / "c.csv", {"3": mend_income, "5": leave})
    )
    assert (replayed.received, replayed.accepted, replayed.quarantined) == (1000, 998, 2)
    assert [(row["line_number"], row["raw_text"]) for row in exported(empty)] == [
        ("5", "a,b"),
        ("8", ""),
    ]


def test_row_that_is_still_broken_is_checked_again_and_can_be_corrected_again(
    empty: Session, night: Path, tmp_path: Path
) -> None:
    def half(row: dict[str, str]) -> None:
        row.update(income="5760", Gender='a "new", one')

    replay_corrections(
        empty,
        NIGHT,
        corrected(empty, tmp_path / "1.csv", {"3": half, "5": filled_from(night, 2, "900001")}),
    )
    (third, _) = exported(empty)
    assert third["rules"] == "unknown_level:gender"
    assert (third["income"], third["Gender"]) == ("5760", 'a "new", one')
    second = replay_corrections(
        empty, NIGHT, corrected(empty, tmp_path / "2.csv", {"3": mend_income})
    )
    assert (second.revision, second.accepted, second.quarantined) == (3, 999, 1)


def test_the_same_corrections_again_change_nothing(
    empty: Session, night: Path, tmp_path: Path
) -> None:
    first = corrected(empty, tmp_path / "1.csv", {"3": mend_income})
    replay_corrections(empty, NIGHT, first)
    second = corrected(empty, tmp_path / "2.csv", {"5": filled_from(night, 2, "900001")})
    replay_corrections(empty, NIGHT, second)
    before = state(empty)
    assert replay_corrections(empty, NIGHT, second).is_unchanged
    assert replay_corrections(empty, NIGHT, first).is_unchanged
    assert state(empty) == before


def test_the_original_file_again_keeps_the_corrections(
    empty: Session, night: Path, tmp_path: Path
) -> None:
    replay_corrections(empty, NIGHT, corrected(empty, tmp_path / "1.csv", {"3": mend_income}))
    before = state(empty)
    again = ingest_batch(empty, NIGHT, night)
    assert (again.is_unchanged, again.revision, again.accepted) == (True, 2, 998)
    assert state(empty) == before


def test_another_file_replaces_the_corrections_with_a_warning(
    empty: Session, night: Path, tmp_path: Path, drops: Replay, caplog
) -> None:
    replay_corrections(empty, NIGHT, corrected(empty, tmp_path / "1.csv", {"3": mend_income}))
    assert ingest_batch(empty, NIGHT, drops.application_files[NIGHT]).revision == 3
    assert "replaces revision 2, whose rows were corrected by hand" in caplog.text
    assert select(empty, "select revision, corrects_revision, origin_sha256 is null from batches"
                  " where is_current") == [[3, None, True]]  # fmt: skip


def test_corrected_key_that_is_taken_is_refused_by_rule(
    empty: Session, night: Path, tmp_path: Path, drops: Replay
) -> None:
    ingest_batch(empty, NEXT, drops.application_files[NEXT])
    taken = drops.application_files[NEXT].read_text().splitlines()[1].split(",")[0]
    own = night.read_text().splitlines()[1].split(",")[0]
    replay_corrections(
        empty,
        NIGHT,
        corrected(
            empty,
            tmp_path / "1.csv",
            {
                "3": mend_income,
                "5": filled_from(night, 2, taken),
                "8": lambda row: row.update(ID=own, income="x"),
            },
        ),
    )
    assert [row["rules"] for row in exported(empty)] == [
        "known_key:loan_id",
        "duplicate_key:loan_id not_a_number:income_usd_per_month",
    ]


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"8": leave}, r"none of 1 corrected rows passes \(duplicate_key:loan_id 1\)"),
        ({"3": lambda row: row.update(line_number="4")}, "line 2: line_number 4 is not in quar"),
        (
            {"3": lambda row: row.update(line_number="x")},
            "line 2: line_number with a text of 1 character .* is not in quar",
        ),
        ({"3": lambda row: row.update(line_number="")}, r"line_number \(empty\) is not in"),
        ({"3": mend_income, "8": lambda row: row.update(line_number="3")}, "line 3: .* twice"),
    ],
)
def test_corrections_that_cannot_be_placed_change_nothing(
    empty: Session, night: Path, tmp_path: Path, edits: dict[str, Edit], message: str
) -> None:
    path = corrected(empty, tmp_path / "1.csv", edits)
    before = state(empty)
    with pytest.raises(SourceError, match=message) as caught:
        replay_corrections(empty, NIGHT, path)
    assert "\n" not in str(caught.value)
    assert state(empty) == before


def test_malformed_corrections_change_nothing(empty: Session, night: Path, tmp_path: Path) -> None:
    path = corrected(empty, tmp_path / "1.csv", {"3": mend_income})
    path.write_text(path.read_text() + "8,too,few\n")
    with pytest.raises(SourceError, match="line 3 is malformed"):
        replay_corrections(empty, NIGHT, path)


def test_batch_without_quarantine_or_revision_is_named(
    empty: Session, drops: Replay, tmp_path: Path
) -> None:
    with pytest.raises(StateError, match=f"batch {NEXT} has no published revision"):
        exported(empty, NEXT)
    with pytest.raises(StateError, match=f"batch {NEXT} has no published revision"):
        replay_corrections(empty, NEXT, tmp_path / "x.csv")
    ingest_batch(empty, NEXT, drops.application_files[NEXT])
    with pytest.raises(StateError, match="no row is in quarantine"):
        exported(empty, NEXT)


def test_corrected_history_adds_the_labels_of_its_rows(
    empty: Session, drops: Replay, tmp_path: Path
) -> None:
    lines = drops.application_files["history"].read_text().splitlines()
    header, fields = lines[0].split(","), lines[2].split(",")
    good = fields[header.index("Credit_Score")]
    fields[header.index("Credit_Score")] = "9999"
    lines[2] = ",".join(fields)
    path = tmp_path / "history.csv"
    path.write_text("\n".join(lines) + "\n")
    ingest_batch(empty, "history", path)
    without = "select count(*) from current_applications left join outcomes o using (loan_id)"
    without += " where o.loan_id is null"
    assert select(empty, "select count(*) from outcomes") == [[len(lines) - 2]]
    (row,) = exported(empty, "history")
    row["Credit_Score"] = good
    fixed = tmp_path / "fixed.csv"
    fixed.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    assert replay_corrections(empty, "history", fixed).quarantined == 0
    assert select(empty, "select count(*) from outcomes") == [[len(lines) - 1]]
    assert select(empty, without) == [[0]]
    # The labels of the history are one file, whatever its files are called.
    drop = "select distinct drop_id, revision from outcomes"
    assert select(empty, drop) == [["outcomes-history", 2]]
    shorter = tmp_path / "another-name.csv"
    shorter.write_text("\n".join(lines[:1] + lines[3:]) + "\n")
    ingest_batch(empty, "history", shorter)
    assert select(empty, drop) == [["outcomes-history", 3]]
    assert select(empty, "select count(*) from outcomes") == [[len(lines) - 3]]


def test_parquet_and_latin_1_come_back_too(empty: Session, drops: Replay, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = drops.application_files[NIGHT].read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    rows[3]["Gender"] = "Mädchen"
    path = tmp_path / "night.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    ingest_batch(empty, NIGHT, path)
    (row,) = exported(empty)
    assert (row["line_number"], row["Gender"]) == ("5", "Mädchen")
    declared = empty.contract.model_copy(
        update={"source": empty.contract.source.model_copy(update={"encoding": "latin-1"})}
    )
    latin = Session(declared, empty.connection)
    fixed = corrected(latin, tmp_path / "c.csv", {"5": lambda row: row.update(Gender="Male")})
    assert replay_corrections(latin, NIGHT, fixed).accepted == 1000


def test_blank_and_repeated_columns_stay_in_the_raw_text_only(
    empty: Session, drops: Replay, tmp_path: Path
) -> None:
    header, *lines = drops.application_files[NIGHT].read_text().splitlines()
    first = dict(zip(header.split(","), lines[0].split(","), strict=True)) | {"income": "much"}
    lines[0] = ",".join(first.values())
    path = tmp_path / "night.csv"
    odd = [f"{header},,note,note,other", *(f"{line},,p,q,r" for line in lines)]
    path.write_text("\n".join(odd) + "\n")
    ingest_batch(empty, NIGHT, path)
    assert select(empty, "select ignored_columns from batches") == [
        [["(no name)", "note (2 times)", "other"]]
    ]
    (row,) = exported(empty)
    assert list(row) == ["line_number", "rules", *header.split(","), "other", "raw_text"]
    still = corrected(empty, tmp_path / "c.csv", {"2": lambda row: row.update(income="more")})
    with pytest.raises(SourceError, match="none of 1 corrected rows passes"):
        replay_corrections(empty, NIGHT, still)
    fixed = corrected(empty, tmp_path / "c.csv", {"2": lambda row: row.update(income="5")})
    assert replay_corrections(empty, NIGHT, fixed).accepted == 1000


def test_command_line_lists_exports_and_replays(
    empty: Session, night: Path, tmp_path: Path, new_database, capsys, postgres
) -> None:
    name = empty.connection.get_dsn_parameters()["dbname"]
    url = postgres.url("loan_scoring").rpartition("/")[0] + f"/{name}"

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["quarantine", *arguments, "--database", url])
        return code, *capsys.readouterr()

    code, out, _ = run("list")
    assert code == 0
    assert out.splitlines()[1].split() == [NIGHT, "1", "current", "1", "duplicate_key:loan_id"]
    assert run("list", "--batch", NEXT)[1] == "no row is in quarantine\n"
    assert run("export", "--batch", NIGHT)[1].count("\n") == 4
    path = tmp_path / "out.csv"
    assert run("export", "--batch", NIGHT, "--out", str(path)) == (
        0, f"{path}: 3 rows to correct\n", ""
    )  # fmt: skip
    path.write_text(path.read_text().replace(",much,", ",60,").replace(",?,", ",Male,"))
    code, out, _ = run("replay", "--batch", NIGHT, "--source", str(path))
    assert (code, out) == (
        0, f"batch {NIGHT} revision 2: 1 row mended, 998 accepted, 2 quarantined\n"
        f"current_scores has no rows of batch {NIGHT} until: loan-scoring score --portfolio "
        f"loan_default --batch {NIGHT}\n"
    )  # fmt: skip
    assert "nothing changed" in run("replay", "--batch", NIGHT, "--source", str(path))[1]
    code, out, err = run("export", "--batch", NIGHT, "--out", str(tmp_path / "no" / "x.csv"))
    assert (code, out) == (1, "")
    assert "cannot be written: No such file or directory" in err
