"""An Airflow of the tests' own: set before its first import, its metadata in SQLite."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ann:admin,guest:viewer",
    "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests, and of 64 bytes or more: " + "0" * 64,
}
passwords = Path(_home.name) / "simple_auth_manager_passwords.json.generated"
passwords.write_text(json.dumps({"ann": "ann's", "guest": "guest's"}))


@pytest.fixture(scope="session")
def airflow_home() -> Iterator[Path]:
    from airflow.utils import db

    db.initdb()
    yield Path(_home.name)
    _home.cleanup()


@pytest.fixture(scope="session")
def bag(airflow_home: Path) -> Any:
    """Every DAG, read from its file as Airflow reads it, once a session."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(REPOSITORY / "dags")
