"""The plugin in Airflow's API server: its start, and pages that stages wrote as files."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loan_scoring import settings

pytestmark = [
    pytest.mark.dags,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

Token = Callable[[str], dict[str, str]]
PAGE = "/loan-scoring/quality/loan_default_ingest/2026-01-05/1"
CARD = "/loan-scoring/models/loan_default_train/propensity-1"


START = """
import airflow.api_fastapi.main
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from fastapi.testclient import TestClient
token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ann", role="viewer"))
client = TestClient(airflow.api_fastapi.main.app)
for path in ("/loan-scoring/p/loan_default/", "/loan-scoring/api/v1/loan_default/batches"):
    print("STATUS", client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code)
"""


def test_server_starts_without_its_database_and_logs_it_once(airflow_home: Path) -> None:
    url = "postgresql://u:secret@127.0.0.1:1/none"
    done = subprocess.run(
        [sys.executable, "-c", START],
        env=os.environ
        | {"AIRFLOW_CONN_LOAN_SCORING": url, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    output = done.stdout + done.stderr
    (line,) = [each for each in output.splitlines() if "Airflow works without it" in each]
    assert "loan-scoring pages: no database at postgresql://u@127.0.0.1:1/no" in line
    assert "secret" not in line
    assert re.findall(r"STATUS (\d+)", done.stdout) == ["503", "503"]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    path = settings.quality_page_path("loan_default", "2026-01-05", 1)
    path.parent.mkdir(parents=True)
    path.write_text("<html>judged</html>")
    return path


@pytest.mark.attack
def test_quality_page_needs_the_right_to_see_the_dag(client: Any, page: Path, token: Token) -> None:
    assert client.get(PAGE).status_code == 401
    shown = client.get(PAGE, headers=token("viewer"))
    assert (shown.status_code, shown.text) == (200, "<html>judged</html>")
    assert shown.headers["content-type"].startswith("text/html")


@pytest.mark.attack
def test_model_card_needs_the_right_to_see_the_dag(client: Any, page: Path, token: Token) -> None:
    card = settings.card_path("loan_default", "propensity-1")
    card.parent.mkdir(parents=True)
    card.write_text("<html>card</html>")
    assert client.get(CARD).status_code == 401
    assert client.get(CARD, headers=token("viewer")).text == "<html>card</html>"
    assert client.get(CARD.replace("-1", "-2"), headers=token("viewer")).status_code == 404


@pytest.mark.attack
@pytest.mark.parametrize(
    "path",
    [
        PAGE.replace("/1", "/2"),
        PAGE.replace("loan_default", "other"),
        PAGE.replace("2026-01-05", "..%2F..%2F2026-01-05"),
        PAGE.replace("2026-01-05", "2026-01-5"),
        PAGE.replace("_ingest", ""),  # the rights on another DAG
        PAGE.replace("_ingest", "_ingest_ingest"),
        PAGE.replace("_ingest", "_train"),
        CARD.replace("_train", ""),
        CARD.replace("-1", "-" + "1" * 300),
    ],
)
def test_wrong_address_is_not_found(client: Any, page: Path, path: str, token: Token) -> None:
    assert client.get(path, headers=token("admin")).status_code == 404


@pytest.mark.attack
@pytest.mark.parametrize("digits", [300, 5000])
def test_revision_is_a_number_in_bounds(client: Any, token: Token, digits: int) -> None:
    path = PAGE.removesuffix("1") + "1" * digits
    assert client.get(path, headers=token("admin")).status_code == 422
