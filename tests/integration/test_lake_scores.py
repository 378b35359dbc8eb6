"""Applications in a lake get the scores of the database, bit by bit; bad rows are told apart."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.contract import KEY
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import SourceError, StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models import registry
from loan_scoring.scoring.lake_publish import publish_from_lake
from loan_scoring.scoring.lake_rows import (
    FILE,
    RAW,
    ROW,
    RULES,
    SCORES,
    LakeRows,
    judged_schema,
    stored_columns,
)

pytestmark = pytest.mark.integration

PYTHON = os.environ.get("LOAN_SCORING_SPARK_PYTHON")
NIGHT, NEXT = "2026-01-05", "2026-01-06"
NAMES = [KEY, *SCORES]


def url_of(session: Session) -> str:
    known = session.connection.info
    return f"postgresql://{known.user}:{known.password}@{known.host}:{known.port}/{known.dbname}"


@pytest.fixture
def typed(drops: Replay) -> pa.Table:
    """The night's applications with numbers as numbers, as a lake has them."""
    convert = pa.csv.ConvertOptions(strings_can_be_null=False)
    table = pa.csv.read_csv(drops.application_files[NIGHT], convert_options=convert)
    # A column that is known later is empty, and Spark reads no Parquet without a type.
    fields = [f.with_type(pa.float64()) if pa.types.is_null(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))


@pytest.fixture
def unscored(new_database: Callable[..., str], trained: Any, drops: Replay) -> Iterator[Session]:
    """A session on a database with the same night and the same models, without scores."""
    with open_session("loan_default", new_database(template=trained.url)) as session:
        ingest_batch(session, NIGHT, drops.application_files[NIGHT])
        yield session


def scores_of(session: Session, table: str = "current_scores") -> list[tuple[Any, ...]]:
    query = f"select {', '.join(NAMES)} from {table} where batch_id = '{NIGHT}' order by {KEY}"
    return [tuple(row) for row in database.select_read_only(session.connection, query)[1]]


def as_rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return sorted(tuple(row.values()) for row in table.select(NAMES).to_pylist())


def lake_rows(session: Session, schema: pa.Schema) -> LakeRows:
    pair = registry.champion_pair(session)
    scorer = registry.load_scorer(session, *pair)
    stored = stored_columns(session.contract, "lake", schema, NIGHT)
    return LakeRows(session.contract, scorer, stored)


def with_places(table: pa.Table) -> pa.Table:
    rows = pa.array(np.arange(table.num_rows), pa.int64())
    return table.append_column(FILE, pa.repeat("a.parquet", table.num_rows)).append_column(
        ROW, rows
    )


def broken(table: pa.Table, name: str, value: Any) -> pa.Table:
    """Return a table whose first row has another value."""
    place = table.column_names.index(name)
    values = [value, *table.column(name).to_pylist()[1:]]
    return table.set_column(place, name, pa.array(values, table.schema.field(name).type))


def test_batches_of_any_size_get_the_scores_of_the_night(scored: Session, typed: pa.Table) -> None:
    rows, parts = lake_rows(scored, typed.schema), with_places(typed).to_batches(max_chunksize=333)
    found = pa.Table.from_batches(list(rows.judge_all(parts)))
    assert found.schema.equals(judged_schema(scored.contract))
    assert found.column(RULES).null_count == found.num_rows == 1000
    assert as_rows(found) == scores_of(scored)


def test_rows_that_break_rules_have_no_scores_and_their_place(
    scored: Session, typed: pa.Table
) -> None:
    bad = broken(typed, "term", -7)
    (batch,) = with_places(bad).combine_chunks().to_batches()
    found = lake_rows(scored, typed.schema).judge(batch)
    (refused,) = [row for row in found.to_pylist() if row[RULES] is not None]
    assert refused[RULES] == "out_of_range:term_months"
    assert (refused[FILE], refused[ROW], refused["decision"]) == ("a.parquet", 0, None)
    assert "-7" in refused[RAW]
    with pytest.raises(SourceError, match="term"):
        stored_columns(scored.contract, "lake", typed.drop_columns(["term"]).schema, NIGHT)


def test_scores_of_a_lake_are_published_only_for_the_loans_of_the_batch(
    scored: Session, unscored: Session, tmp_path: Path
) -> None:
    columns = [*NAMES, "propensity_version", "personas_version", "scored_at"]
    query = f"select {', '.join(columns)} from scores where batch_id = '{NIGHT}'"
    rows = database.select_read_only(scored.connection, query)[1]
    table = pa.table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True)))
    pq.write_table(table.slice(0, 999), tmp_path / "part.parquet")
    with pytest.raises(StateError, match=r"ingest the very applications"):
        publish_from_lake(unscored, NIGHT, str(tmp_path))
    assert scores_of(unscored) == []
    pq.write_table(table, tmp_path / "part.parquet")
    publish_from_lake(unscored, NIGHT, str(tmp_path))
    assert scores_of(unscored) == scores_of(scored)


def test_options_of_a_lake_belong_together(scored: Session) -> None:
    for options in (["--applications", "x"], ["--publish"]):
        with pytest.raises(SystemExit):
            main(["score", "--batch", NIGHT, *options])
    with pytest.raises(SystemExit):
        main(["score", "--file", "a", "--out", "b", "--applications", "x", "--scores", "y"])


def score(session: Session, applications: Path, scores: Path, *more: str) -> str:
    command = [
        PYTHON, "-m", "loan_scoring.cli", "score", "--batch", NIGHT,
        "--applications", str(applications), "--scores", str(scores),
        "--database", url_of(session), *more,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.spark
@pytest.mark.skipif(PYTHON is None, reason="make test-spark runs it, with pyspark")
def test_spark_scores_a_lake_bit_equal_replaces_its_run_and_publishes(
    scored: Session, unscored: Session, typed: pa.Table, tmp_path: Path
) -> None:
    lake, out = tmp_path / "applications", tmp_path / "scored"
    folder = lake / f"batch_id={NIGHT}"
    folder.mkdir(parents=True)
    (lake / f"batch_id={NEXT}").mkdir()
    pq.write_table(typed.slice(0, 5), lake / f"batch_id={NEXT}" / "a.parquet")
    pq.write_table(broken(typed, "term", -7).slice(0, 700), folder / "a.parquet")
    # The last row of the first file once more: the second file's is the repeated one.
    pq.write_table(typed.slice(699), folder / "b.parquet")
    # The second loan was scored on another night.
    known = out / "scores" / f"batch_id={NEXT}" / "scoring_run_id=earlier"
    known.mkdir(parents=True)
    table = typed.slice(1, 1).select([typed.column_names[0]]).rename_columns([KEY])
    pq.write_table(table, known / "a.parquet")
    told = score(unscored, lake, out)
    assert "1001 received" in told
    assert "3 refused" in told
    (run,) = (out / "refused" / f"batch_id={NIGHT}").iterdir()
    refused = ds.dataset(run, format="parquet").to_table().sort_by([(RULES, "ascending")])
    assert [row[RULES] for row in refused.to_pylist()] == [
        f"duplicate_key:{KEY}", f"known_key:{KEY}", "out_of_range:term_months"
    ]  # fmt: skip
    places = [(Path(row[FILE]).name, row[ROW]) for row in refused.to_pylist()]
    assert places == [("b.parquet", 0), ("a.parquet", 1), ("a.parquet", 0)]
    gone = {row[KEY] for row in refused.to_pylist() if row[RULES] != f"duplicate_key:{KEY}"}
    expected = [row for row in scores_of(scored) if row[0] not in gone]
    written = out / "scores" / f"batch_id={NIGHT}" / run.name
    assert as_rows(ds.dataset(written, format="parquet").to_table()) == expected

    for each in folder.iterdir():
        each.unlink()
    (known / "a.parquet").unlink()
    pq.write_table(typed, folder / "a.parquet")
    told = score(unscored, lake, out, "--publish")
    assert "1000 received" in told
    assert "published as" in told
    assert as_rows(ds.dataset(written, format="parquet").to_table()) == scores_of(scored)
    assert ds.dataset(run, format="parquet").count_rows() == 0
    assert scores_of(unscored) == scores_of(scored)
