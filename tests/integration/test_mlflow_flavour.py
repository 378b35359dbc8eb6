"""MLflow's own tools give the probabilities of the nightly scores: load, serve, a UDF on Spark."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.database.applications import read_applications
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError
from loan_scoring.models.mlflow_mirror import mirror_models

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("default"),  # MLflow warns of what its next release changes
]

PYTHON = os.environ.get("LOAN_SCORING_SPARK_PYTHON")
NIGHT = "2026-01-05"
UDF = """
import sys, mlflow.pyfunc, pyarrow.parquet as pq
from pyspark.sql import functions as f
from loan_scoring.scoring.spark_session import spark_session
model, applications, out = sys.argv[1:]
with spark_session("udf") as spark:
    rows = spark.read.parquet(applications)
    predict = mlflow.pyfunc.spark_udf(spark, model, "double", env_manager="local")
    inputs = f.struct(*[name for name in rows.columns if name != "loan_id"])
    scored = rows.select("loan_id", predict(inputs).alias("probability"))
    scored.coalesce(1).write.parquet(out)
"""


@pytest.fixture
def folders_of_models(
    scored: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Path]:
    """The folders that MLflow has as models, by kind."""
    monkeypatch.setenv("LOAN_SCORING_MLFLOW_ARTIFACTS", str(tmp_path / "mlflow"))
    mirror_models(scored)
    found = {}
    for path in (tmp_path / "mlflow").rglob("MLmodel"):
        description = json.loads((path.parent / "loan_scoring.json").read_text())
        assert "notifications" not in description["contract"]
        found[description["kind"]] = path.parent
    return found


@pytest.fixture
def applications(scored: Session) -> pd.DataFrame:
    """The applications of the night, with nulls in columns of integers as pandas has them."""
    names = [column.name for column in scored.contract.monitored]
    with database.transaction(scored.connection):
        return read_applications(scored, NIGHT, 1, names).to_pandas()


def expected(session: Session, name: str) -> list[Any]:
    query = f"select {name} from current_scores where batch_id = '{NIGHT}' order by loan_id"
    return [value for (value,) in database.select_read_only(session.connection, query)[1]]


def test_loaded_models_give_the_values_of_the_night(
    scored: Session, folders_of_models: dict[str, Path], applications: pd.DataFrame
) -> None:
    import mlflow.pyfunc

    inputs = applications.drop(columns=KEY)
    model = mlflow.pyfunc.load_model(str(folders_of_models["propensity"]))
    probabilities = np.array(expected(scored, "default_probability"), float)
    np.testing.assert_array_equal(model.predict(inputs), probabilities)
    assert np.isnan(probabilities).any()
    personas = mlflow.pyfunc.load_model(str(folders_of_models["personas"]))
    assert list(personas.predict(inputs)) == expected(scored, "persona")
    with pytest.raises(SourceError, match="lack "):
        model.predict(inputs[["term_months"]])
    with pytest.raises(SourceError, match="column term_months has values that are no "):
        model.predict(inputs.assign(term_months="long"))


def test_mlflow_serves_the_model(
    scored: Session, folders_of_models: dict[str, Path], applications: pd.DataFrame, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local",
        "--host", "127.0.0.1", "--port", str(port), "--model-uri",
        str(folders_of_models["propensity"]),
    ]  # fmt: skip
    some = applications.head(50).drop(columns=KEY)
    body = {"dataframe_split": json.loads(some.to_json(orient="split", index=False))}
    # MLflow starts `uvicorn` by its name.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (
        (tmp_path / "serve.log").open("w") as log,
        subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"PATH": path},
        ) as server,
    ):  # fmt: skip
        try:
            deadline = time.monotonic() + 300
            while True:
                try:
                    httpx.get(f"http://127.0.0.1:{port}/ping", timeout=5).raise_for_status()
                    break
                except httpx.HTTPError:
                    told = (tmp_path / "serve.log").read_text()
                    assert server.poll() is None, told
                    assert time.monotonic() < deadline, told
                    time.sleep(0.5)
            answer = httpx.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=60)
        finally:
            os.killpg(server.pid, signal.SIGTERM)
    assert answer.status_code == 200, answer.text
    found = np.array(answer.json()["predictions"], float)
    wanted = np.array(expected(scored, "default_probability")[:50], float)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.spark
@pytest.mark.skipif(PYTHON is None, reason="make test-spark runs it, with pyspark")
def test_mlflow_scores_on_spark_as_a_udf(
    scored: Session,
    folders_of_models: dict[str, Path],
    applications: pd.DataFrame,
    tmp_path: Path,
) -> None:
    applications.to_parquet(tmp_path / "applications.parquet")
    done = subprocess.run(
        [PYTHON, "-c", UDF, folders_of_models["propensity"], tmp_path / "applications.parquet",
         tmp_path / "out"],
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = pd.read_parquet(tmp_path / "out").sort_values(KEY)
    probabilities = np.array(expected(scored, "default_probability"), float)
    np.testing.assert_array_equal(found["probability"], probabilities)
