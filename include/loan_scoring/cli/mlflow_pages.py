"""Define and run the command `loan-scoring models mlflow`, which serves MLflow's pages."""

import argparse
import os
import sys
from typing import Any

from loan_scoring import settings
from loan_scoring.cli.common import session_of


def add_mlflow_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `models mlflow` to its parser."""
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s, no other one")
    parser.add_argument("--port", type=int, default=5000, help="default: %(default)s")
    parser.add_argument(
        "--prepare", action="store_true", help="only make MLflow's tables, and serve nothing"
    )


def mlflow_command(options: argparse.Namespace) -> dict[str, Any]:
    """Make MLflow's tables if they are missing, and serve MLflow's pages until Ctrl-C.

    With LOAN_SCORING_MLFLOW_URL, whose role may only select, no tables are made.
    """
    from loan_scoring import database
    from loan_scoring.local.postgres import embedded
    from loan_scoring.models.mlflow_server import VIEWER, prepare_mlflow, serve_mlflow

    url = None if options.database else settings.mlflow_url()
    if options.prepare or url is None:
        with session_of(options) as session:
            prepare_mlflow(session)
    if options.prepare:
        return {"text": "MLflow's tables are up to date"}
    url = url or options.database or settings.database_url() or embedded().url(database.MLFLOW)
    password, place = _viewer_password(VIEWER)
    sys.stderr.write(f"MLflow    http://{options.host}:{options.port}\n")
    sys.stderr.write(f"user      {VIEWER}, password in {place}\n")
    return {"exit": serve_mlflow(url, options.host, options.port, password)}


def _viewer_password(user: str) -> tuple[str, str]:
    """Return the password of MLflow's viewer and where it is kept.

    Without MLFLOW_VIEWER_PASSWORD, a password is made once and kept in the state folder.
    """
    from loan_scoring.local.state import kept_secrets

    if given := os.environ.get("MLFLOW_VIEWER_PASSWORD"):
        return given, "MLFLOW_VIEWER_PASSWORD"
    path = settings.state_dir() / "mlflow.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    return kept_secrets(path, (user,), size_bytes=12)[user], str(path)
