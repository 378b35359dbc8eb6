"""Policy for every DAG: documented, owned, tagged, retried, thin, and cheap to parse."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loan_scoring import contract
from loan_scoring.local.airflow_stack import stages_of

pytestmark = [
    pytest.mark.dags,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

DAGS = Path(__file__).resolve().parents[2] / "dags"
STAGES = ("ingest", "outcomes", "train", "score", "metrics")
CHECK = "loan_scoring_contracts"
"""The one DAG that belongs to no portfolio."""
FILES = sorted(DAGS.glob("*.py"))
HEAVY = ("pandas", "numpy", "sklearn", "scipy", "pyarrow", "psycopg2", "great_expectations")


def test_every_file_is_read_without_error(bag: Any) -> None:
    assert bag.import_errors == {}
    loaded = map(contract.load, contract.names())
    staged = {f"{each.portfolio}_{stage}" for each in loaded for stage in stages_of(each)}
    assert set(bag.dags) == staged | {CHECK}


def test_airflow_ignores_every_helper() -> None:
    others = (
        "maintenance", "shadow", "stream", "federated", "scans", "contracts", "broken_contracts",
    )  # fmt: skip
    stages = {f"loan_scoring_{stage}" for stage in (*STAGES, *others)}
    lines = (DAGS / ".airflowignore").read_text().splitlines()
    ignored = {line.removesuffix(r"\.py") for line in lines if not line.startswith("#")}
    assert ignored == {path.stem for path in FILES} - stages


def test_every_dag_says_what_it_is_and_whose(bag: Any) -> None:
    for dag in bag.dags.values():
        portfolio, _, stage = dag.dag_id.rpartition("_")
        is_check = dag.dag_id == CHECK
        assert dag.doc_md
        assert dag.tags == ({"loan-scoring"} if is_check else {"loan-scoring", portfolio, stage})
        assert not dag.catchup
        for task in dag.tasks:
            owner = "loan-scoring" if is_check else contract.load(portfolio).owner
            assert task.owner == owner
            assert task.retries >= 2
            assert task.retry_exponential_backoff
            # A person's time is limited by promotion.answer_within_hours instead.
            asks = task.task_id == "ask"
            assert (task.execution_timeout is None) == asks
            assert not asks or task.response_timeout


def test_reading_a_dag_imports_nothing_heavy() -> None:
    code = f"import sys; sys.path.insert(0, {str(DAGS)!r})\nimport airflow.sdk\n"
    code += "before = set(sys.modules)\n"
    code += "".join(f"import {path.stem}\n" for path in FILES)
    code += f"print([name for name in {HEAVY} if name in set(sys.modules) - before])"
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_is_wiring_only(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 110
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert all(ast.get_docstring(node) for node in [tree, *functions])
    imported = {
        name.name.split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
    }
    assert not imported & set(HEAVY)
    assert "SELECT" not in text
