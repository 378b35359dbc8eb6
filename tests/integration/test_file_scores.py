"""A file that is scored without ingest gets the scores that its loans get as a batch."""

import csv
import gzip
import io
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.database.session import Session
from loan_scoring.errors import LoanScoringError, SourceError, StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.files.table import SourceTable
from loan_scoring.ingest.spreadsheet import export_quarantine
from loan_scoring.lab.replay import Replay
from loan_scoring.models.promotion.decide import promote_by_hand
from loan_scoring.scoring.batch import score_batch
from loan_scoring.scoring.file import score_file

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
COLUMNS = (
    "loan_id", "default_probability", "grade", "exclusion_reason", "decision", "persona",
    "persona_default_rate", "reason_1", "reason_2", "reason_3", "reason_4", "propensity_version",
    "personas_version",
)  # fmt: skip
NUMBERS = ("default_probability", "persona_default_rate")
ROWS = "select md5(string_agg(t::text, '|' order by t::text)) from {} as t"
TABLES = ("applications", "quarantine", "batches", "scoring_runs", "scores", "alerts")


@pytest.fixture
def file(drops: Replay) -> Path:
    return drops.application_files[NIGHT]


@pytest.fixture
def broken(file: Path, tmp_path: Path) -> Path:
    """The night with three broken rows: line 3 breaks two rules, 5 is malformed, 8 repeats 7."""
    lines = file.read_text().splitlines()
    header, fields = lines[0].split(","), lines[2].split(",")
    fields[header.index("income")] = "much"
    fields[header.index("Gender")] = "?"
    lines[2], lines[4], lines[7] = ",".join(fields), "a,b", lines[6]
    path = tmp_path / "new.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def typed(rows: list[dict[str, str]]) -> list[tuple]:
    """Return rows with the types of Postgres: empty is null, numbers are float64."""
    return [
        tuple(
            None if not value else float(value) if name in NUMBERS else value
            for name, value in row.items()
        )
        for row in rows
    ]


def current(session: Session) -> list[tuple]:
    names = ", ".join(COLUMNS).replace("loan_id", "loan_id::text")
    query = f"select {names} from current_scores order by 1"
    return [tuple(row) for row in database.select_read_only(session.connection, query)[1]]


@pytest.fixture
def trees(ready: Session, challenge: Callable[..., dict[str, str]]) -> Session:
    """`ready` with trees as champion.

    Their sums do not depend on the other rows of a block; those of a logistic regression do, in
    the last digits.
    """
    pair = challenge("trees", max_iter=30)
    promote_by_hand(ready, pair["propensity"], "cli:tests", "exact sums")
    return ready


def test_scores_are_those_of_the_batch_whatever_the_champion_is(
    ready: Session, file: Path, tmp_path: Path
) -> None:
    score_file(ready, file, tmp_path / "scores.csv")
    ingest_batch(ready, NIGHT, file)
    score_batch(ready, NIGHT)
    rows = sorted(typed(read(tmp_path / "scores.csv")))
    for row, expected in zip(rows, current(ready), strict=True):
        assert row[1] == (expected[1] and pytest.approx(expected[1], abs=1e-12))
        assert row[:1] + row[2:] == expected[:1] + expected[2:]


def test_scores_are_those_of_the_batch_to_the_last_bit(
    trees: Session, file: Path, tmp_path: Path
) -> None:
    ready = trees
    out = tmp_path / "scores.csv"
    before = score_file(ready, file, out)
    ingest_batch(ready, NIGHT, file)
    score_batch(ready, NIGHT)
    rows = read(out)
    assert tuple(rows[0]) == COLUMNS
    assert sorted(typed(rows)) == current(ready)
    assert {row["decision"] for row in rows} == {"approve", "review", "decline", "refer"}
    assert before.received == before.scored + before.referred == 1000
    assert before.referred == sum(not row["default_probability"] for row in rows) > 0
    assert (before.refused, before.refused_out) == (0, None)
    assert sorted(tmp_path.iterdir()) == [out]
    # That its loans are in the database by now changes nothing.
    assert score_file(ready, file, out) == before
    assert read(out) == rows


def test_blocks_of_any_size_give_the_same_file(
    trees: Session, broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = trees
    whole = score_file(ready, broken, tmp_path / "whole.csv")
    sizes = []

    def small(location, wanted, *, file_format, optional):
        sizes.append(location)
        return SourceTable(location, wanted, optional, file_format=file_format, block_bytes=8 << 10)

    monkeypatch.setattr("loan_scoring.ingest.files.table.open_table", small)
    parts = score_file(ready, broken, tmp_path / "parts.csv")
    assert sizes == [broken]
    assert (whole.scored, whole.refused) == (parts.scored, parts.refused)
    for name in ("whole{}.csv", "whole.refused{}.csv"):
        other = name.replace("whole", "parts")
        assert (tmp_path / name.format("")).read_bytes() == (
            tmp_path / other.format("")
        ).read_bytes()


def test_rows_that_break_a_rule_are_written_as_a_quarantine_export(
    ready: Session, broken: Path, tmp_path: Path
) -> None:
    done = score_file(ready, broken, tmp_path / "scores.csv")
    assert (done.received, done.refused) == (1000, 3)
    assert done.received == done.scored + done.referred + done.refused
    assert done.refused_out == str(tmp_path / "scores.refused.csv")
    refused = Path(done.refused_out)
    assert [(row["line_number"], row["rules"], row["raw_text"]) for row in read(refused)] == [
        ("3", "unknown_level:gender not_a_number:income_usd_per_month", ""),
        ("5", "field_count", "a,b"),
        ("8", "duplicate_key:loan_id", ""),
    ]
    assert len(read(tmp_path / "scores.csv")) == 997
    ingest_batch(ready, NIGHT, broken)
    exported = io.StringIO()
    export_quarantine(ready, NIGHT, exported)
    assert refused.read_text(encoding="utf-8") == exported.getvalue()


def test_corrected_rows_can_be_scored_and_a_stale_file_of_refused_ones_is_deleted(
    ready: Session, broken: Path, file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.csv"
    score_file(ready, broken, out)
    beside = tmp_path / "scores.refused.csv"
    rows = read(beside)[:1]
    rows[0].update(income="5760", Gender="Joint")
    corrected = tmp_path / "corrected.csv"
    with corrected.open("w", newline="", encoding="utf-8-sig") as text:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    done = score_file(ready, corrected, tmp_path / "more.csv")
    assert (done.received, done.refused) == (1, 0)
    assert beside.exists()
    score_file(ready, file, out)
    assert not beside.exists()


def test_every_kind_of_source_is_read(ready: Session, file: Path, tmp_path: Path) -> None:
    score_file(ready, file, tmp_path / "plain.csv")
    packed = tmp_path / "new.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
        archive.write(file, "new.csv")
    text = pa.csv.read_csv(
        file,
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(file.read_text().split("\n", 1)[0].split(","), pa.string())
        ),
    )
    pa.parquet.write_table(text, tmp_path / "new.parquet")
    for name in ("new.csv.gz", "new.zip", "new.parquet"):
        score_file(ready, tmp_path / name, tmp_path / "other.csv")
        assert (tmp_path / "other.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()


def test_file_of_nothing_but_broken_rows_is_all_refused(
    ready: Session, file: Path, tmp_path: Path
) -> None:
    header, first = file.read_text().splitlines()[:2]
    path = tmp_path / "new.csv"
    path.write_text(f"{header}\n{first.replace(first.split(',')[0], 'x', 1)}\n")
    done = score_file(ready, path, tmp_path / "scores.csv")
    assert (done.received, done.scored, done.referred, done.refused) == (1, 0, 0, 1)
    assert (tmp_path / "scores.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_missing_column_refuses_the_file_by_name_and_an_extra_one_is_ignored(
    ready: Session, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = file.read_text().splitlines()
    path = tmp_path / "new.csv"
    path.write_text("\n".join([lines[0].replace("income", "salary"), *lines[1:]]))
    with pytest.raises(SourceError, match="column income missing from the header"):
        score_file(ready, path, tmp_path / "scores.csv")
    path.write_text("\n".join([f"{lines[0]},Shoes", *(f"{line},44" for line in lines[1:])]))
    score_file(ready, path, tmp_path / "scores.csv")
    assert "ignored 1 column that the contract does not name" in caplog.text
    assert "Shoes" not in caplog.text


def fails_late(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Make sources yield a few blocks and then fail."""
    real = SourceTable.__iter__

    def some(table: SourceTable):
        for number, block in enumerate(real(table)):
            if number == 2:
                raise error
            yield block

    monkeypatch.setattr(SourceTable, "__iter__", some)
    monkeypatch.setattr(
        "loan_scoring.ingest.files.table.open_table",
        lambda location, wanted, *, file_format, optional: SourceTable(
            location, wanted, optional, file_format=file_format, block_bytes=16 << 10
        ),
    )


@pytest.mark.parametrize("error", [SourceError("cut off"), KeyboardInterrupt(), MemoryError()])
def test_failed_run_leaves_no_partial_file_and_keeps_earlier_results(
    ready: Session, broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fails_late(monkeypatch, error)
    with pytest.raises(type(error)):
        score_file(ready, broken, tmp_path / "scores.csv")
    assert sorted(tmp_path.iterdir()) == [broken]
    (tmp_path / "scores.csv").write_text("of yesterday")
    (tmp_path / "scores.refused.csv").write_text("of yesterday, too")
    with pytest.raises(type(error)):
        score_file(ready, broken, tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text() == "of yesterday"
    assert (tmp_path / "scores.refused.csv").read_text() == "of yesterday, too"
    assert len(list(tmp_path.iterdir())) == 3


def test_out_that_cannot_be_written_is_one_line(ready: Session, file: Path, tmp_path: Path) -> None:
    with pytest.raises(LoanScoringError, match=r"scores\.csv: cannot be written: No such file"):
        score_file(ready, file, tmp_path / "nowhere" / "scores.csv")
    for place in (tmp_path, "", "/", "/dev/null"):
        with pytest.raises(
            LoanScoringError, match="this is not a regular file; name another --out"
        ):
            score_file(ready, file, place)
    with pytest.raises(LoanScoringError, match="cannot be written: File name too long"):
        score_file(ready, file, tmp_path / ("x" * 300))


def test_file_that_is_scored_is_not_replaced(ready: Session, broken: Path, tmp_path: Path) -> None:
    before = broken.read_bytes()
    beside = tmp_path / "scores.refused.csv"
    beside.write_bytes(before)
    (tmp_path / "link.csv").symlink_to(broken)
    for location, out in (
        (broken, broken),
        (broken, tmp_path / "link.csv"),
        (beside, tmp_path / "scores.csv"),
        (f"{tmp_path}/*.refused.csv", tmp_path / "scores.csv"),
    ):
        with pytest.raises(LoanScoringError, match="this file is being scored"):
            score_file(ready, location, out)
    assert broken.read_bytes() == beside.read_bytes() == before


def test_out_may_be_a_link(ready: Session, file: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link = tmp_path / "scores.csv"
    link.symlink_to(tmp_path / "far" / "scores.csv")
    score_file(ready, file, link)
    assert link.is_symlink()
    assert len(read(tmp_path / "far" / "scores.csv")) == 1000


def test_without_a_champion_nothing_is_written(empty: Session, file: Path, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="has no champion"):
        score_file(empty, file, tmp_path / "scores.csv")
    assert list(tmp_path.iterdir()) == []


def test_command_writes_its_task_metrics_row_and_nothing_else(
    ready: Session,
    ready_url: str,
    broken: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def state() -> list:
        return [
            database.select_read_only(ready.connection, ROWS.format(table))[1] for table in TABLES
        ]

    before = state()
    out = tmp_path / "scores.csv"
    arguments = ["score", "--file", str(broken), "--out", str(out), "--database", ready_url]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert f"{out}: 1000 received = " in text
    assert f" + 3 refused ({tmp_path / 'scores.refused.csv'}), by propensity-1" in text
    assert main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["received"] == result["scored"] + result["referred"] + result["refused"] == 1000
    assert state() == before
    assert (
        database.select_read_only(
            ready.connection,
            "select batch_id, rows, errors from task_metrics where task = 'score.file'",
        )[1]
        == [[None, 1000, 0]] * 2
    )


def test_numbers_are_written_as_they_are(ready: Session, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    score_file(ready, file, out)
    told = [row["default_probability"] for row in read(out) if row["default_probability"]]
    assert max(len(text.rstrip("0").rpartition(".")[2]) for text in told) >= 15
    assert all(math.isfinite(float(text)) for text in told)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--file", "new.csv"),
        ("--out", "scores.csv"),
        ("--batch", NIGHT, "--out", "scores.csv"),
        ("--batch", NIGHT, "--file", "new.csv", "--out", "scores.csv"),
        ("--batch", "soon"),
    ],
)
def test_batch_or_file_with_out(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["score", *arguments])
    assert stopped.value.code == 2
    assert "usage: loan-scoring score" in capsys.readouterr().err
