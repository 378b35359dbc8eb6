"""Lakes as they are: parts of several writers, empty and damaged ones, runs that were killed."""

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.database.session import Session
from loan_scoring.lab.replay import Replay
from loan_scoring.scoring.lake_rows import SCORES

PYTHON = os.environ.get("LOAN_SCORING_SPARK_PYTHON")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.spark,
    pytest.mark.skipif(PYTHON is None, reason="make test-spark runs it, with pyspark"),
]

NIGHT = "2026-01-05"
NAMES = [KEY, *SCORES]
SCORE = """
import json, sys
from loan_scoring.errors import LoanScoringError
from loan_scoring.scoring.spark_lake import score_lake
for folder in sys.argv[1:]:
    try:
        found = score_lake("loan_default", "2026-01-05", folder, folder + "-scored")
    except LoanScoringError as error:
        found = {"error": str(error)}
    print("FOUND", json.dumps(found))
"""

TIMES = """
import sys
from loan_scoring.scoring.spark_files import columns_of, files_by_schema, read_files
from loan_scoring.scoring.spark_session import spark_session
with spark_session("times") as spark:
    ((schema, files),) = files_by_schema(spark, sys.argv[1], "2026-01-05").items()
    rows = read_files(spark, sys.argv[1], files).select(columns_of(schema, ["utc", "local", "day"]))
    rows.coalesce(1).write.parquet(sys.argv[2])
"""


@pytest.fixture
def typed(drops: Replay) -> pa.Table:
    """The night's applications with numbers as numbers."""
    convert = pa.csv.ConvertOptions(strings_can_be_null=False)
    table = pa.csv.read_csv(drops.application_files[NIGHT], convert_options=convert)
    fields = [f.with_type(pa.float64()) if pa.types.is_null(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))


@pytest.fixture
def scores(scored: Session) -> list[tuple[Any, ...]]:
    """The night's scores in the database."""
    query = (
        f"select {', '.join(NAMES)} from current_scores where batch_id = '{NIGHT}' order by {KEY}"
    )
    return [tuple(row) for row in database.select_read_only(scored.connection, query)[1]]


def score(session: Session, *folders: Path) -> list[dict[str, Any]]:
    """Score each folder in one process. Return the reports."""
    known = session.connection.info
    url = f"postgresql://{known.user}:{known.password}@{known.host}:{known.port}/{known.dbname}"
    done = subprocess.run(
        [PYTHON, "-c", SCORE, *map(str, folders)],
        env=os.environ | {"LOAN_SCORING_DATABASE_URL": url},
        capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    return [json.loads(line.removeprefix("FOUND ")) for line in lines]


def rows_of(folder: str) -> list[tuple[Any, ...]]:
    table = ds.dataset(folder, format="parquet").to_table()
    return sorted(tuple(row.values()) for row in table.select(NAMES).to_pylist())


def as_text(table: pa.Table) -> pa.Table:
    """Return a table as another writer has it: all values as text, columns in another order."""
    names = sorted(table.column_names)
    texts = [pc.fill_null(table.column(name).cast(pa.string()), "") for name in names]
    return pa.table(dict(zip(names, texts, strict=True)))


def test_parts_of_several_writers_are_each_read_by_their_own_schema(
    scored: Session, typed: pa.Table, scores: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    lake = tmp_path / "parts"
    lake.mkdir()
    loaded = pa.array([1_700_000_000_000_000_001] * 400, pa.timestamp("ns", "UTC"))
    pq.write_table(typed.slice(0, 400).append_column("loaded_at", loaded), lake / "a.parquet")
    pq.write_table(as_text(typed.slice(400, 600)), lake / "b.parquet")
    pq.write_table(typed.slice(0, 0), lake / "c.parquet")
    (lake / "_SUCCESS").touch()
    # A run that was killed while it wrote leaves such folders.
    killed = tmp_path / "parts-scored" / "scores" / "batch_id=2026-01-06" / "scoring_run_id=x"
    (killed / "_temporary" / "0").mkdir(parents=True)
    (first,) = score(scored, lake)
    assert first.get("error") is None
    assert (first["received"], first["refused"]) == (1000, 0)
    assert rows_of(first["scores_folder"]) == scores
    (run,) = ds.dataset(first["runs_folder"], format="parquet").to_table().to_pylist()
    assert {name: run[name] for name in first if name in run} == {
        name: first[name] for name in run if name != "scored_at"
    }


def test_what_is_wrong_with_a_lake_is_one_line_that_names_the_file(
    scored: Session, typed: pa.Table, tmp_path: Path
) -> None:
    first, second = typed.slice(0, 400), typed.slice(400, 600)

    def lake(name: str) -> Path:
        (tmp_path / name).mkdir()
        pq.write_table(first, tmp_path / name / "a.parquet")
        return tmp_path / name

    lacking, damaged, torn, delta = map(lake, ("lacking", "damaged", "torn", "delta"))
    pq.write_table(second.drop_columns(["term"]), lacking / "b.parquet")
    pq.write_table(second, damaged / "b.parquet")
    whole = (damaged / "b.parquet").read_bytes()
    (damaged / "b.parquet").write_bytes(whole[:-100])
    (torn / "b.parquet").write_bytes(whole[:4] + b"\xff" * 20_000 + whole[20_004:])
    (delta / "_delta_log").mkdir()
    empty = tmp_path / "empty"
    empty.mkdir()
    pq.write_table(typed.slice(0, 0), empty / "a.parquet")
    bare = tmp_path / "bare"
    bare.mkdir()
    told = [
        found["error"]
        for found in score(scored, lacking, damaged, torn, delta, empty, bare, tmp_path / "absent")
    ]
    assert not any("\n" in each for each in told)
    assert "lacking/b.parquet" in told[0]
    assert "term missing from the header" in told[0]
    assert "damaged/b.parquet" in told[1]
    assert "is damaged" in told[1]
    assert "torn/b.parquet" in told[2]
    assert "is a Delta table" in told[3]
    assert f"{empty} has no application of {NIGHT}" in told[4]
    assert f"{bare} has no application of {NIGHT}" in told[5]
    assert "absent is not there" in told[6]


def test_times_in_nanoseconds_are_times(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 5, 12, 30, 59, 123456)
    columns = {
        "utc": pa.array([moment.replace(tzinfo=UTC), None], pa.timestamp("ns", "UTC")),
        "local": pa.array([moment, None], pa.timestamp("ns")),
        "day": pa.array([moment.date(), None]),
    }
    pq.write_table(pa.table(columns), tmp_path / "pandas.parquet")
    done = subprocess.run(
        [str(PYTHON), "-c", TIMES, tmp_path / "pandas.parquet", tmp_path / "out"],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    table = ds.dataset(tmp_path / "out", format="parquet").to_table()
    assert table.to_pydict() == {name: each.to_pylist() for name, each in columns.items()}
