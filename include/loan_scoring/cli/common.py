"""What the commands share: adding a command, a database session, a measured stage."""

import argparse
import getpass
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from loan_scoring.errors import TrackingError

if TYPE_CHECKING:  # Importing it takes a second, and --help must be fast.
    from loan_scoring.database.session import Session

Handler = Callable[[argparse.Namespace], dict[str, Any]]
"""Runs a command; returns its result for --json, and under `text` what people read."""


def add_command(
    commands: Any, name: str, handler: Handler, help_: str, *parents: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    """Add a command to a parser's commands and return the command's own parser."""
    added: argparse.ArgumentParser = commands.add_parser(
        name, help=help_, description=help_, parents=parents
    )
    added.set_defaults(handler=handler)
    return added


@contextmanager
def session_of(options: argparse.Namespace, default_url: str | None = None) -> "Iterator[Session]":
    """Open a session on the portfolio and database that the options name.

    Args:
        options: with `portfolio` and `database`.
        default_url: used where --database is not given; None: the application's database.
    """
    from loan_scoring.database.session import open_session
    from loan_scoring.local.postgres import portfolio_database_url

    url = portfolio_database_url(options.database or default_url)
    with open_session(options.portfolio, url) as session:
        yield session


def run_measured(options: argparse.Namespace, task: str, work: "Callable[[Session], int]") -> None:
    """Run a stage in a session and record its cost in task_metrics.

    Args:
        options: of the command; `batch` is recorded where there is one.
        task: the name under which the cost is recorded.
        work: does the stage and returns the number of rows that it handled.
    """
    from loan_scoring.database.task_metrics import measure_task

    run = f"cli-{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}-{os.getpid()}"
    with (
        session_of(options) as session,
        measure_task(session, run, task, getattr(options, "batch", None)) as done,
    ):
        done.rows = work(session)


def mirror_after_training(options: argparse.Namespace) -> bool:
    """Copy trials and models to MLflow; return False, with a warning, where that fails.

    The training stays valid without the copy.
    """
    from loan_scoring.models.mlflow_mirror import mirror_models

    def work(session: "Session") -> int:
        written = mirror_models(session)
        return written.trials + written.models

    try:
        run_measured(options, "train.mirror", work)
    except TrackingError as error:
        logging.getLogger(__name__).warning("%s", error)
        return False
    return True


def account_name() -> str:
    """Return the operating system's account that runs the command, as audit records name it.

    The database role cannot tell persons apart: it is the application's.
    """
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # An account without a name, as in containers.
        return f"cli:uid-{os.getuid()}"
