"""Add commands to the command line, open database sessions, and measure the stages that run."""

import argparse
import getpass
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from loan_scoring import settings
from loan_scoring.errors import LoanScoringError, TrackingError

if TYPE_CHECKING:  # The import takes a second, and --help must be fast.
    from loan_scoring.database.session import Session

Handler = Callable[[argparse.Namespace], dict[str, Any]]
"""Function that runs a command and returns its result.

The command prints the string under the key `text`. With --json, the command prints all other keys
as JSON instead. The key `exit`, if present, is the exit code.
"""


def add_command(
    commands: Any, name: str, handler: Handler, help_: str, *parents: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    """Add a command to the command line, and return the new parser for the command's options.

    Args:
        commands: result of `add_subparsers`.
        name: name of the command.
        handler: function that runs the command.
        help_: help text of the command.
        parents: parsers whose options are added to the options of the command.
    """
    added: argparse.ArgumentParser = commands.add_parser(
        name, help=help_, description=help_, parents=parents
    )
    added.set_defaults(handler=handler)
    return added


@contextmanager
def session_of(options: argparse.Namespace, default_url: str | None = None) -> "Iterator[Session]":
    """Open a session on the portfolio and the database that the command's options name.

    Args:
        options: parsed options with `portfolio` and `database`. If there is an option `batch`, its
            batch_id is judged.
        default_url: database URL to use if --database is not given. If this URL is None too, the
            session uses LOAN_SCORING_DATABASE_URL or else the embedded Postgres.

    Raises:
        BatchError: the batch_id is a date that may not be ingested yet.
    """
    from loan_scoring import contract as contracts
    from loan_scoring.database.session import open_session
    from loan_scoring.local.postgres import portfolio_database_url

    batch = getattr(options, "batch", None)
    if batch is not None:
        contracts.judge_batch_id(contracts.load(options.portfolio), batch)
    given = options.database or default_url or settings.database_url()
    # The embedded Postgres is for one person, so any command brings its schema up to date.
    with open_session(
        options.portfolio, portfolio_database_url(given), migrates=None if given else True
    ) as session:
        yield session


def run_measured(options: argparse.Namespace, task: str, work: "Callable[[Session], int]") -> None:
    """Run a stage, and record its row count, time and memory in table `task_metrics`.

    Args:
        options: parsed options of the command. The option `batch`, if present, is recorded.
        task: value of column `task` in table `task_metrics`.
        work: function that runs the stage and returns the number of processed rows.
    """
    from loan_scoring.database.task_metrics import measure_task

    run = f"cli-{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}-{os.getpid()}"
    with (
        session_of(options) as session,
        measure_task(session, run, task, getattr(options, "batch", None)) as done,
    ):
        done.rows = work(session)


@contextmanager
def kept_revision(session: "Session", batch_id: str) -> "Iterator[None]":
    """Add to the message of a refused batch which revision stays published, if there is one."""
    from loan_scoring import database

    try:
        yield
    except LoanScoringError as error:
        with database.transaction(session.connection):
            current = database.row(session.connection, "select_current_batch", batch_id=batch_id)
        if current is not None:
            kept = f"revision {current['revision']} of batch {batch_id} stays published"
            error.args = (f"{error}; {kept}",)
        raise


def unscored_hint(portfolio: str, batch_id: str) -> str:
    """Return a line that says that a new revision has no scores yet, and the next command."""
    return (
        f"\ncurrent_scores has no rows of batch {batch_id} until: loan-scoring score --portfolio "
        f"{portfolio} --batch {batch_id}"
    )


def mirror_after_training(options: argparse.Namespace) -> bool:
    """Copy trials and models to MLflow. Return True if the copy succeeded.

    If MLflow cannot be written, log a warning and return False. The command does not fail, because
    the models can be used without the copy in MLflow.
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
    """Return the user's name for the audit log: `cli:` plus the operating system's account.

    The database role would not identify the user, because all users share the application's role.
    """
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # The account has no name, as is common in containers.
        return f"cli:uid-{os.getuid()}"
