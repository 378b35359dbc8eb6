"""A state that version 0.1.0 left goes on working: backup, artifacts, contract, landing files.

`states/version-0.1.0.tar.xz` was made by the release itself from generated loans: history and one
scored night, models with both estimators of its own, a backup, and the digests of its tables.
"""

import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loan_scoring import database, settings
from loan_scoring.database.restore import restore_backup
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.models import registry
from loan_scoring.models.estimators import Calibrated, XGBoost
from loan_scoring.models.training.run import train
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.integration

STATE = Path(__file__).parent / "states" / "version-0.1.0.tar.xz"
NIGHT, NEXT_NIGHT = "2026-01-05", "2026-01-06"
ROWS = {
    "current_scores": "to_jsonb(t) - array['scored_at', 'grade']",
    "applications": "t",
    "outcomes": "to_jsonb(t) - 'observed_at' - 'recovered'",
    "drift": "(scoring_run_id, kind, feature, test, statistic, p_value, p_adjusted, effect,"
    " threshold, level)",
}
"""The tables that were digested, and what of each row."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("version-0.1.0")
    with tarfile.open(STATE) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.fixture
def restored(
    state: Path, tmp_path: Path, new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Session]:
    """A session on what this version restored from the backup of 0.1.0, with its contract."""
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(state / "portfolios"))
    shutil.copytree(state / "landing", tmp_path / "landing")
    url = new_database()
    restore_backup(state / "backup", url)
    with open_session("loan_default", url) as session:
        yield session


def landed(batch_id: str) -> Path:
    folder = settings.landing_dir("loan_default") / "applications"
    return folder / f"{batch_id}.synthetic.csv"


@pytest.fixture(scope="module")
def expected(state: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((state / "expected.json").read_text())
    return found


def test_backup_is_restored_to_the_same_rows(
    restored: Session, expected: dict[str, Any], digests: Callable[..., dict[str, str]]
) -> None:
    assert digests(restored, ROWS) == {name: expected[name] for name in ROWS}


def test_artifacts_load_under_the_names_that_they_were_stored_with(restored: Session) -> None:
    with database.transaction(restored.connection):
        row = registry.model_row(restored, "propensity-1")
        classifier = registry.model_estimator(restored, row)[-1]
    with zipfile.ZipFile(settings.artifacts_dir("loan_default") / row["artifact"]) as stored:
        assert b'"loan_scoring.estimators"' in stored.read("schema.json")
    assert isinstance(classifier, Calibrated)
    assert isinstance(classifier.classifier, XGBoost)


def test_training_finds_nothing_new_to_learn(restored: Session, expected: dict[str, Any]) -> None:
    versions, _ = train(restored)
    assert versions == {"propensity": "propensity-1", "personas": "personas-1"}
    models = database.select_read_only(
        restored.connection,
        "select model_version, fingerprint, algorithm from models order by 1",
    )[1]
    assert models == expected["models"]


def test_scoring_again_gives_the_same_rows(
    restored: Session, digests: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    rows = {
        # Reasons are Shapley values now; 0.1.0 took them from the paths of the trees.
        "current_scores": "to_jsonb(t) - array['scored_at', 'scoring_run_id', 'revision', "
        "'reason_1', 'reason_2', 'reason_3', 'reason_4']",
    }
    # Tests of later versions are others. These are still the same.
    kept = (
        "select feature, test, statistic, effect, threshold from drift"
        " where test in ('ks', 'wasserstein', 'domain_classifier') order by 1, 2"
    )
    # z of the reconstruction test is a difference of nearly equal numbers. Its fifth digit moves
    # with BLAS and with where an array lies in memory.
    reconstruction = "select statistic, effect, p_value from drift where test = 'reconstruction'"
    before = digests(restored, rows)
    tests = database.select_read_only(restored.connection, kept)[1]
    (joint,) = database.select_read_only(restored.connection, reconstruction)[1]
    other_bytes = tmp_path / f"{NIGHT}.synthetic.csv"
    other_bytes.write_bytes(landed(NIGHT).read_bytes().replace(b"\n", b"\r\n"))
    ingest_batch(restored, NIGHT, str(other_bytes))
    run_id = score_batch(restored, NIGHT)
    assert run_id.startswith(f"{NIGHT}-r2-propensity-1-personas-1-")
    compare_batch(restored, NIGHT)
    first_run = run_id.replace("-r2-", "-r1-")
    with database.transaction(restored.connection), restored.connection.cursor() as cursor:
        cursor.execute("DELETE FROM drift WHERE scoring_run_id = %s", (first_run,))
    assert digests(restored, rows) == before
    assert tests
    assert database.select_read_only(restored.connection, kept)[1] == tests
    (again,) = database.select_read_only(restored.connection, reconstruction)[1]
    assert again == pytest.approx(joint, rel=1e-3)


def test_next_night_runs(restored: Session) -> None:
    ingest_batch(restored, NEXT_NIGHT, str(landed(NEXT_NIGHT)))
    score_batch(restored, NEXT_NIGHT)
    assert compare_batch(restored, NEXT_NIGHT)
