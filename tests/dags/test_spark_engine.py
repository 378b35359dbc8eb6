"""With the engine spark, one task of the DAG `score` starts Spark instead of many that score."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.dags

DAGS = Path(__file__).resolve().parents[2] / "dags"
CODE = """
import json, loan_scoring_score
dag = loan_scoring_score.loan_default_score
print(json.dumps({task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}))
"""


def tasks(**variables: str) -> dict[str, list[str]]:
    """Return the tasks of the DAG `score` and those behind each, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE], cwd=DAGS, env=os.environ | variables,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_engine_decides_which_tasks_score() -> None:
    assert tasks()["plan"] == ["score"]
    spark = tasks(LOAN_SCORING_ENGINE="spark")
    assert spark["plan"] == ["score_on_spark"]
    assert "score" not in spark
    assert spark["score_on_spark"] == ["publish"]
