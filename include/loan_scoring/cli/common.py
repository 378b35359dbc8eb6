"""What the commands share: their shape, and a stage in a session of its own, measured."""

import argparse
import getpass
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from loan_scoring.errors import TrackingError

Handler = Callable[[argparse.Namespace], dict[str, Any]]


def run_measured(options: argparse.Namespace, task: str, work: Callable[..., int]) -> None:
    """Run a stage in a session and note what it cost; `work` returns the rows that it handled."""
    from loan_scoring.database.session import open_session
    from loan_scoring.database.task_metrics import measure_task
    from loan_scoring.local.postgres import portfolio_database_url

    run = f"cli-{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}-{os.getpid()}"
    with (
        open_session(options.portfolio, portfolio_database_url(options.database)) as session,
        measure_task(session, run, task, getattr(options, "batch", None)) as done,
    ):
        done.rows = work(session)


def mirror_after_training(options: argparse.Namespace) -> bool:
    """Show in MLflow what was trained; that it cannot be written is no fault of the training."""
    from loan_scoring.models.mlflow_mirror import mirror_models

    def work(session: Any) -> int:
        written = mirror_models(session)
        return written.trials + written.models

    try:
        run_measured(options, "train.mirror", work)
    except TrackingError as error:
        logging.getLogger(__name__).warning("%s", error)
        return False
    return True


def account_name() -> str:
    """Return who runs the command, as the record names it: the operating system's account.

    The database role is the application's, the same for everybody.
    """
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # an account without a name, as containers have them
        return f"cli:uid-{os.getuid()}"
