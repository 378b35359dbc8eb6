"""An Airflow for the tests, set up before its first import, with its metadata in SQLite."""

import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loan_scoring.database.session import Session
from loan_scoring.local.postgres import EmbeddedPostgres

REPOSITORY = Path(__file__).resolve().parents[2]

_home = tempfile.TemporaryDirectory(prefix="loan-scoring-airflow-")
os.environ |= {
    "AIRFLOW_HOME": _home.name,
    "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_home.name}/airflow.db",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ann:admin,otto:op,guest:viewer",
    "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests, and of 64 bytes or more: " + "0" * 64,
}
passwords = Path(_home.name) / "simple_auth_manager_passwords.json.generated"
passwords.write_text(json.dumps({"ann": "ann's", "otto": "otto's", "guest": "guest's"}))


@pytest.fixture(scope="session")
def airflow_home() -> Iterator[Path]:
    from airflow.utils import db

    db.initdb()
    yield Path(_home.name)
    _home.cleanup()


@pytest.fixture(scope="session")
def bag(airflow_home: Path) -> Any:
    """Every DAG, parsed by Airflow once a session.

    `dag.test()` polls waiting tasks every 20 ms instead of every second.
    """
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk.definitions import dag

    dag.time = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / 50))
    return DagBag(REPOSITORY / "dags")


@pytest.fixture(scope="session")
def client(airflow_home: Path) -> Iterator[Any]:
    """A client of Airflow's API server with the plugin."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Airflow's own and starlette's
        from airflow.api_fastapi.app import create_app
        from fastapi.testclient import TestClient

        with TestClient(
            create_app(apps="core"), base_url="http://testserver", raise_server_exceptions=False
        ) as client:
            yield client


@pytest.fixture(scope="session")
def token(client: Any) -> Callable[[str], dict[str, str]]:
    """Return a function that gives the login header of a user of a role, named `a ROLE`."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def make(role: str) -> dict[str, str]:
        user = SimpleAuthManagerUser(username=f"a {role}", role=role)
        return {"Authorization": f"Bearer {get_auth_manager().generate_jwt(user)}"}

    return make


@pytest.fixture
def point(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> Callable[[Session], None]:
    """Let the plugin use a session's database: read with the reader role, write with the other."""

    def to(session: Session) -> None:
        name = session.connection.info.dbname
        for connection, role in (
            ("LOAN_SCORING", "loan_scoring"),
            ("LOAN_SCORING_READER", "loan_scoring_reader"),
        ):
            url = postgres.url(role).rpartition("/")[0] + f"/{name}"
            monkeypatch.setenv(f"AIRFLOW_CONN_{connection}", url)

    return to


@pytest.fixture
def night(scored: Session, point: Callable[[Session], None]) -> Session:
    """The plugin's database with a scored night."""
    point(scored)
    return scored
