"""Isolate a run of the demonstrations from other runs and from the user's files."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from loan_scoring import settings
from loan_scoring.errors import LoanScoringError
from loan_scoring.local.state import locked


@contextmanager
def exclusive_demo() -> Iterator[None]:
    """Hold a lock while the block runs, so that no second `demo-drift` runs at the same time.

    Two runs at the same time would use one set of databases and one folder.

    Raises:
        LoanScoringError: another run holds the lock, or the state folder cannot be used.
    """
    folder = settings.state_dir()
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder / "demo.lock", wait=False))
        except BlockingIOError:
            raise LoanScoringError("another demo-drift is running; wait for it to end") from None
        except OSError as error:
            raise LoanScoringError(f"{folder}: cannot be used: {error.strerror}") from error
        yield


@contextmanager
def own_folders() -> Iterator[Path]:
    """Make all stages write into a temporary folder. Yield the landing folder in that folder.

    The environment variable LOAN_SCORING_DATA names the temporary folder. At the end the folder is
    deleted, and LOAN_SCORING_DATA gets its previous value.
    """
    folder, name = settings.state_dir() / "demo", "LOAN_SCORING_DATA"
    before = os.environ.get(name)
    shutil.rmtree(folder, ignore_errors=True)
    os.environ[name] = str(folder)
    try:
        yield folder / "landing"
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def quiet_stages() -> Iterator[None]:
    """Hide the stages' log lines below level ERROR, because the page shows the results."""
    logger = logging.getLogger("loan_scoring")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
