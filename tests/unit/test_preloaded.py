"""Preloading runs Airflow, starts no thread, and covers all heavy libraries of the stages."""

import subprocess
import sys

import airflow

LOOK = """
import importlib, sys, threading
from loan_scoring import preloaded

for library in preloaded.LIBRARIES:
    importlib.import_module(library)
assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
ours = [name for name in sys.modules if name.startswith("loan_scoring")]
assert ours == ["loan_scoring", "loan_scoring.preloaded"], ours
before = set(sys.modules)
for stage in ("ingest.batches", "ingest.outcomes", "models.training.run", "scoring.batch",
              "monitoring.metrics", "monitoring.retrain_requests"):
    importlib.import_module(f"loan_scoring.{stage}")
print(*sorted(set(sys.modules) - before))
"""


def test_airflow_runs_in_it() -> None:
    command = [sys.executable, "-m", "loan_scoring.preloaded", "version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == airflow.__version__


def test_stages_find_their_libraries_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    heavy = {"great_expectations", "pandas", "pyarrow", "scipy", "skops", "sklearn", "xgboost"}
    imported = done.stdout.split()
    assert "loan_scoring.scoring.batch" in imported
    assert not [name for name in imported if name.split(".")[0] in heavy]
