"""Run a step of a migration without blocking the work of others for more than moments."""

from collections.abc import Callable

from psycopg2.errors import DeadlockDetected, LockNotAvailable
from psycopg2.extensions import connection as Connection
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from loan_scoring import database
from loan_scoring.errors import BusyError

LOCK_MILLISECONDS = 2000
"""Maximum time that one try waits for a lock.

New work on a table must wait behind a try that waits for the table. The limit is above Postgres's
`deadlock_timeout` of 1 s, because only then is an autovacuum that holds the lock cancelled.
"""

PAUSE_SECONDS = 2.0
"""Pause between two tries, in which other work goes on."""

PATIENCE_SECONDS = 60.0
"""Time for all tries of one step."""


def run_step(connection: Connection, name: str, work: Callable[[], list[str]]) -> list[str]:
    """Run a step as one transaction, and return its result.

    If other work holds a lock that the step needs, the step is tried again after a pause. Only one
    process at a time runs steps in a schema. The wait for such a process has no short limit.

    Args:
        connection: connection whose search_path is the portfolio's schema.
        name: name of the step, for the error message.
        work: function that runs the step's statements.

    Raises:
        BusyError: other work held a lock during all tries.
    """

    def once() -> list[str]:
        with database.transaction(connection), connection.cursor() as cursor:
            database.lock(connection, "migrations")
            cursor.execute(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
            return work()

    tries = Retrying(
        retry=retry_if_exception_type((LockNotAvailable, DeadlockDetected)),
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_fixed(PAUSE_SECONDS),
        reraise=True,
    )
    try:
        return tries(once)
    except (LockNotAvailable, DeadlockDetected) as error:
        raise _busy(connection, name) from error


def _busy(connection: Connection, step: str) -> BusyError:
    with database.transaction(connection):
        found = database.rows(connection, "select_lock_holders")
    names = [f"{row['pid']} of {row['role']} ({row['program']})" for row in found]
    return BusyError(
        f"{database.location(connection)}: tables have been in use for {PATIENCE_SECONDS:g} s, so "
        f"step {step} was not applied (in use by process {', '.join(names) or 'none any more'}); "
        "run `loan-scoring migrate` again when that work is done"
    )
