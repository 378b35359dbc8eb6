"""Run MLflow's server behind a login. The server reads, and neither writes nor runs jobs.

Its role may only select, its transactions refuse to write, and its user `viewer` has MLflow's
permission READ (docs/adr/0055).
"""

import os
import re
import secrets
import subprocess
import sys
import tempfile
import warnings
from contextlib import closing
from pathlib import Path

from loan_scoring import database
from loan_scoring.database.backup import has_tables
from loan_scoring.database.roles import MLFLOW_SCHEMA
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.models.mlflow_schema import QUIET, mirror_lock, mlflow_url

VIEWER = "viewer"
"""Name of the only user of MLflow's pages whose password anybody knows."""

_LOGINS = """[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/logins.db
admin_username = admin
"""
_OURS = re.compile(r"(LOAN_SCORING|AIRFLOW|MLFLOW|PG)")
"""Beginnings of the variables that MLflow's server does not get, because they may hold secrets."""


def prepare_mlflow(session: Session) -> None:
    """Create MLflow's tables if they are missing, and let the role of MLflow's server read them.

    MLflow's own server cannot create them, because its role may only select.
    """
    os.environ |= QUIET
    with warnings.catch_warnings(), mirror_lock(session):
        warnings.simplefilter("ignore")  # hides warnings about the next version of SQLAlchemy
        from mlflow.tracking import MlflowClient

        url = mlflow_url(session.connection)
        client = MlflowClient(tracking_uri=url, registry_uri=url)
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
        client._tracking_client.store.engine.dispose()


def serve_mlflow(url: str, host: str, port: int, viewer_password: str) -> int:
    """Run MLflow's server until it ends, and return its exit code.

    The logins are made anew at each start, so that a changed password counts after a restart. The
    user `admin`, whom MLflow requires, has a password that nobody knows.

    Args:
        url: database URL of the role `loan_scoring_mlflow`, or of another role that may select.
        host: address to listen on.
        port: port to listen on.
        viewer_password: password of the user `viewer`, at least 12 characters.

    Raises:
        StateError: MLflow's tables are missing, or the password is too short.
    """
    if len(viewer_password) < 12:
        raise StateError("the password of MLflow's viewer needs at least 12 characters")
    with closing(database.connect(MLFLOW_SCHEMA, url)) as connection:
        if not has_tables(connection, MLFLOW_SCHEMA):
            raise StateError(
                f"MLflow has no tables at {database.location(connection)}; run "
                "`loan-scoring models mlflow --prepare` as the application's role"
            )
        store = mlflow_url(connection, only_reads=True)
    with tempfile.TemporaryDirectory(prefix="loan-scoring-mlflow-") as folder:
        config = Path(folder, "logins.ini")
        config.write_text(_LOGINS.format(folder=folder))
        environment = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
        environment |= QUIET | {
            "MLFLOW_AUTH_ADMIN_PASSWORD": secrets.token_urlsafe(32),
            "MLFLOW_AUTH_CONFIG_PATH": str(config),
            "MLFLOW_BACKEND_STORE_URI": store,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(32),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_WORKERS": "1",
        }
        python = [sys.executable, "-W", "ignore", "-m"]
        users = subprocess.run(
            [*python, "loan_scoring.models.mlflow_users"],
            env=environment, cwd=folder, input=viewer_password, text=True, check=False,
        )  # fmt: skip
        if users.returncode:
            return users.returncode
        server = ["mlflow", "server", "--app-name", "basic-auth", "--no-serve-artifacts"]
        place = ["--host", host, "--port", str(port), "--default-artifact-root", folder]
        return subprocess.call([*python, *server, *place], env=environment, cwd=folder)
