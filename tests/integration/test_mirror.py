"""MLflow has each trial and model of Postgres once, also after a mirror that broke off."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loan_scoring import database, settings
from loan_scoring.database.session import Session
from loan_scoring.errors import TrackingError
from loan_scoring.models import registry
from loan_scoring.models.mlflow_mirror import mirror_models

pytestmark = pytest.mark.integration

MIRROR = "import sys; from loan_scoring.database.session import open_session\n"
MIRROR += "from loan_scoring.models.mlflow_mirror import mirror_models\n"
MIRROR += "with open_session('loan_default', sys.argv[1]) as session: print(mirror_models(session))"


@pytest.fixture(autouse=True)
def artifacts_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOAN_SCORING_MLFLOW_ARTIFACTS", str(tmp_path / "mlflow"))
    return tmp_path / "mlflow"


def rows(session: Session, query: str) -> list:
    return database.select_read_only(session.connection, query)[1]


def assert_complete(session: Session) -> None:
    """Check that each trial and model is in MLflow exactly once, with its figures."""
    assert rows(
        session,
        "select t.fingerprint || '/' || t.trial from trials t union"
        " select model_version from models except all"
        " select g.value from mlflow.tags g join mlflow.runs r using (run_uuid)"
        " where g.key = 'loan_scoring.id' and r.status = 'FINISHED'"
        " and r.lifecycle_stage = 'active'",
    ) == []  # fmt: skip
    assert rows(
        session,
        "select count(*) from mlflow.runs where lifecycle_stage = 'active'",
    ) == rows(session, "select (select count(*) from trials) + (select count(*) from models)")
    assert rows(
        session,
        "select m.value from mlflow.latest_metrics m join mlflow.tags g using (run_uuid)"
        " join mlflow.runs r using (run_uuid) where r.lifecycle_stage = 'active'"
        " and m.key = 'auc' and g.key = 'loan_scoring.id' and g.value = 'propensity-1'",
    ) == rows(session, "select metrics -> 'auc' from models where model_version = 'propensity-1'")
    assert rows(
        session,
        "select v.name, v.version, t.value from mlflow.model_versions v"
        " join mlflow.model_version_tags t using (name, version) where t.key = 'loan_scoring.id'"
        " order by 1",
    ) == [
        ["loan_default.personas", 1, "personas-1"],
        ["loan_default.propensity", 1, "propensity-1"],
    ]


def test_mirror_is_complete_and_a_second_one_adds_nothing(
    ready: Session, artifacts_folder: Path
) -> None:
    first = mirror_models(ready)
    assert (first.trials, first.models) == (4, 2)
    assert first.champions == {"propensity": "propensity-1", "personas": "personas-1"}
    assert_complete(ready)
    again = mirror_models(ready)
    assert (again.trials, again.models) == (0, 0)
    assert_complete(ready)
    row = registry.model_row(ready, "propensity-1")
    (copy,) = artifacts_folder.rglob(row["artifact"])
    assert copy.read_bytes() == (settings.artifacts_dir("loan_default") / copy.name).read_bytes()


def test_alias_follows_the_champion(ready: Session) -> None:
    mirror_models(ready)
    with database.transaction(ready.connection), ready.connection.cursor() as cursor:
        cursor.execute(
            "insert into models select 'propensity-2', kind, 2, algorithm, parameters, features,"
            " metrics, training_data, 'other', code_version, artifact, artifact_sha256, baseline,"
            " baseline_artifact, baseline_sha256, now(), leaks from models"
            " where model_version = 'propensity-1'"
        )
    query = "select version from mlflow.registered_model_aliases where name like '%.propensity'"
    mirror_models(ready)
    assert rows(ready, query) == [[1]]
    with database.transaction(ready.connection):
        registry.record_verdicts(ready, {"propensity-2": {}}, "promoted", "a test")
    mirror_models(ready)
    assert rows(ready, query) == [[2]]


def test_killed_mirror_is_completed_by_the_next(ready: Session, ready_url: str) -> None:
    killed = 0
    for seconds in (0.3, 0.6, 0.9):
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", MIRROR, ready_url],
            stdout=subprocess.DEVNULL, env=os.environ,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if rows(ready, "select to_regclass('mlflow.runs')")[0][0] and rows(
                ready, "select count(*) > 0 from mlflow.runs where status = 'RUNNING'"
            ) == [[True]]:
                time.sleep(seconds / 3)
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.01)
        killed += process.wait(60) == -signal.SIGKILL
    assert killed
    mirror_models(ready)
    assert_complete(ready)


def test_mirror_that_cannot_write_fails_with_one_line(
    ready: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow").write_text("in the way")
    with pytest.raises(TrackingError, match="models and promotions in Postgres are complete") as e:
        mirror_models(ready)
    assert "\n" not in str(e.value)
    assert (ready.connection.info.password or "?") not in str(e.value)
    (tmp_path / "mlflow").unlink()
    mirror_models(ready)
    assert_complete(ready)


def test_training_succeeds_where_mlflow_cannot_be_written(
    ready: Session, ready_url: str, tmp_path: Path
) -> None:
    (tmp_path / "mlflow").write_text("in the way")
    done = subprocess.run(
        [sys.executable, "-m", "loan_scoring.cli", "train", "--database", ready_url],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "propensity-1, personas-1: unchanged" in done.stdout
    assert done.stderr.count("MLflow lacks what was trained last") == 1
    assert rows(ready, "select task, errors from task_metrics where task = 'train.mirror'") == [
        ["train.mirror", 1]
    ]


@pytest.mark.parametrize(
    "module",
    [
        "models.training.run",
        "scoring.batch",
        "models.scorer",
        "models.registry",
        "monitoring.metrics",
    ],
)
def test_heavy_libraries_are_not_imported_by_stages_that_do_not_use_them(module: str) -> None:
    code = f"import sys, loan_scoring.{module}\n"
    code += "heavy = {'mlflow', 'great_expectations', 'matplotlib', 'airflow'}\n"
    code += "print(sorted(heavy & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
