"""All real loans by tasks, by Spark and in a lake: the same rows; seconds and memory of each way.

LOAN_SCORING_SOURCE=FILE make test-spark prints them.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from test_spark import TABLES

from loan_scoring import contract
from loan_scoring.database.session import open_session
from loan_scoring.lab.bench.loans import prepare_loans
from loan_scoring.lab.bench.score import replace_batch, train_bench_pair

PYTHON = os.environ.get("LOAN_SCORING_SPARK_PYTHON")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.spark,
    pytest.mark.skipif(PYTHON is None, reason="make test-spark runs it, with pyspark"),
]

PARTS = 8
"""Files of the lake."""


def test_all_real_loans_get_equal_rows_both_ways(
    real_loans: Path,
    new_database: Callable[..., str],
    digests: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    of = contract.load("loan_default")
    loans = prepare_loans(of, tmp_path, str(real_loans))
    night, empty = of.replay.start, new_database()
    with open_session(of.portfolio, empty) as session:
        train_bench_pair(session, loans)
        replace_batch(session, loans.file)
    databases = {way: new_database(template=empty) for way in ("tasks", "Spark", "lake")}
    folder = tmp_path / "applications" / f"batch_id={night}"
    folder.mkdir(parents=True)
    convert = pa.csv.ConvertOptions(strings_can_be_null=False)
    table = pa.csv.read_csv(loans.file, convert_options=convert)
    rows = -(-table.num_rows // PARTS)
    for part in range(PARTS):
        pq.write_table(table.slice(part * rows, rows), folder / f"{part}.parquet")

    told = {}
    for way, engine in (("tasks", "tasks"), ("Spark", "spark")):
        told[way] = measured(engine, "--batch", night, "--database", databases[way])
    lake = ["--applications", str(folder.parent), "--scores", str(tmp_path / "scored")]
    lake += ["--batch", night, "--database", databases["lake"]]
    told["Spark, lake"] = measured("spark", *lake)
    told["Spark, lake, published"] = measured("spark", *lake, "--publish")
    found = {}
    for way, url in databases.items():
        with open_session(of.portfolio, url) as session:
            found[way] = digests(session, TABLES)
    with capsys.disabled():
        print(f"\n{loans.rows:,} loans, load average {os.getloadavg()[0]:.1f} at the end")  # noqa: T201
        for way, (seconds, peak) in told.items():
            print(f"| {way} | {seconds:.1f} | {peak >> 20:,} |")  # noqa: T201
    assert str(loans.rows) in found["tasks"]["current_scores"]
    assert found["Spark"] == found["tasks"]
    assert found["lake"] == found["tasks"]


def measured(engine: str, *arguments: str) -> tuple[float, int]:
    """Run `score`. Return seconds and the peak of memory of all its processes, in bytes.

    Pages that processes share count once.
    """
    command = [str(PYTHON), "-m", "loan_scoring.cli", "score", *arguments]
    started, peak = time.monotonic(), 0
    environment = os.environ | {"LOAN_SCORING_ENGINE": engine}
    with (
        tempfile.TemporaryFile("w+") as out,
        subprocess.Popen(command, env=environment, stdout=out, stderr=out) as process,
    ):
        root = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, sum(map(memory_of, [root, *root.children(recursive=True)])))
            time.sleep(0.5)
        out.seek(0)
        assert process.returncode == 0, out.read()
    return time.monotonic() - started, peak


def memory_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0
