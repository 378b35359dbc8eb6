"""Start and stop an embedded Postgres server on 127.0.0.1, with its data in the state folder."""

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2

from loan_scoring import database, settings
from loan_scoring.database.programs import postgres_program
from loan_scoring.database.roles import (
    DATABASES,
    EMBEDDED,
    READER_LIMITS,
    create_roles_and_databases,
)
from loan_scoring.errors import DatabaseError
from loan_scoring.local import processes
from loan_scoring.local.postgres_account import Account, choose_account, claim
from loan_scoring.local.postgres_cluster import cause_of_failure, create_cluster
from loan_scoring.local.postgres_pidfile import disown_stale_pid, read_postmaster
from loan_scoring.local.state import kept_port, kept_secrets, locked, read_json

log = logging.getLogger(__name__)

# These settings suit a small machine that loads data with COPY. The lock limit is above Postgres's
# default, because Airflow and transactions on many tables need many locks.
_SERVER_SETTINGS = {
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_locks_per_transaction": "256",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements and details of errors hold values of applicants.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
_START_SECONDS = 120.0  # long because crash recovery may read 2 GB of write-ahead log
_STOP_SECONDS = 30.0
# Postgres itself kills its remaining processes 5 s after an immediate shutdown begins.
# _ABORT_SECONDS is longer, so that Postgres can finish.
_ABORT_SECONDS = 10.0
_PATIENCE_SECONDS = 5.0  # backends of a killed postmaster get SIGTERM after this time
_LOG_LIMIT_BYTES = 10_000_000


class EmbeddedPostgres:
    """The Postgres server of a state folder. Several processes may share the server."""

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir.resolve() / "postgres"
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self._port_file = self.folder / "port"
        self._secrets_file = self.folder.with_name("postgres-secrets.json")

    def start(self) -> "EmbeddedPostgres":
        """Start the server unless it runs already, create roles and databases, and return self.

        Raises:
            DatabaseError: the server does not start, or the state folder cannot be used.
        """
        with self._one_line_errors():
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self.folder / "lock"):
                if not self.is_running():
                    account = choose_account(self.folder)
                    if self.data.exists():
                        claim(self.data, account)
                    else:
                        passwords = kept_secrets(self._secrets_file, EMBEDDED)
                        create_cluster(self.data, passwords["postgres"], account)
                    self._launch(account)
                self._create_roles_and_databases()
        return self

    def stop(self) -> None:
        """Stop the server and end its connections. Do nothing if no server runs.

        A fast shutdown comes first. A fast shutdown waits for every process of the server, so a
        frozen process could block the stop forever. If the server still runs after `_STOP_SECONDS`,
        an immediate shutdown follows. No committed row is lost, because the next start recovers
        from the write-ahead log.

        Raises:
            DatabaseError: the server still runs after the immediate shutdown.
        """
        if not self.folder.is_dir():
            return
        with self._one_line_errors(), locked(self.folder / "lock"):
            postmaster = read_postmaster(self.data)
            if postmaster is None:
                return
            processes.send([postmaster.pid], signal.SIGINT)
            if processes.wait_gone(postmaster.pid, _STOP_SECONDS):
                return
            log.warning(
                "Postgres did not stop within %.0f s and is shut down at once; its next start "
                "recovers from the write-ahead log; see %s",
                _STOP_SECONDS,
                self.log,
            )
            processes.send([postmaster.pid], signal.SIGQUIT)
            if processes.wait_gone(postmaster.pid, _ABORT_SECONDS):
                return
        raise DatabaseError(
            f"Postgres (pid {postmaster.pid}) does not stop; see {self.log}, then end it by "
            f"`kill -9 {postmaster.pid}`"
        )

    def is_running(self) -> bool:
        """Return whether the server accepts connections."""
        postmaster = read_postmaster(self.data)
        return postmaster is not None and postmaster.status == "ready"

    def url(self, role: str = "loan_scoring") -> str:
        """Return the database URL of a role.

        The roles are `loan_scoring`, `loan_scoring_reader`, `loan_scoring_mlflow`, `airflow` and
        `postgres`.

        Raises:
            DatabaseError: the server was never started, or the password of the role is missing.
        """
        with self._one_line_errors():
            try:
                port = int(self._port_file.read_text())
            except FileNotFoundError:
                raise DatabaseError(
                    f"there is no embedded Postgres under {self.folder} yet; run `make run`"
                ) from None
            password = self._passwords()[role]
        return f"postgresql://{role}:{password}@127.0.0.1:{port}/{DATABASES[role]}"

    def _passwords(self) -> dict[str, str]:
        passwords = read_json(self._secrets_file)
        if missing := set(EMBEDDED) - passwords.keys():
            raise DatabaseError(
                f"{self._secrets_file} lacks the password of {min(missing)}; restore the file, or"
                f" remove {self.folder} to start with empty databases"
            )
        return passwords

    @contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise DatabaseError(
                f"the embedded Postgres under {self.folder} cannot be used: {error}; make the"
                " folder writable for this user, or set LOAN_SCORING_STATE to another one"
            ) from error
        except psycopg2.Error as error:
            first = str(error).strip().splitlines()[0]
            raise DatabaseError(
                f"the embedded Postgres under {self.folder} reports: {first}; see {self.log}"
            ) from error

    def _launch(self, account: Account) -> None:
        """Start the server, and wait until the server is ready.

        If another process has started the server, only wait.

        Raises:
            DatabaseError: the server does not get ready in time or cannot start.
        """
        began = time.monotonic()
        while not self.is_running():
            waited = time.monotonic() - began
            cause = (
                "it does not get ready" if read_postmaster(self.data) else self._try_start(account)
            )
            if waited > _START_SECONDS or not _may_pass(cause):
                raise DatabaseError(f"Postgres did not start: {cause}; see {self.log}")
            if "shared memory block" in cause and waited > _PATIENCE_SECONDS:
                # Backends of a killed postmaster still run queries and hold the shared memory. End
                # these backends, because the server cannot start before they have ended.
                rough = waited > 3 * _PATIENCE_SECONDS
                leftovers = processes.working_in(self.data)
                processes.send(leftovers, signal.SIGKILL if rough else signal.SIGTERM)
            if cause:
                time.sleep(0.1)

    def _try_start(self, account: Account) -> str:
        """Run pg_ctl once. Return the cause if the start failed, otherwise an empty string."""
        disown_stale_pid(self.data)
        port = kept_port(self._port_file)
        options = " ".join(f"-c {name}={value}" for name, value in _SERVER_SETTINGS.items())
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as output:
            self.log.chmod(0o600)
            begin = output.tell()
            done = account.run(
                postgres_program("pg_ctl"),
                "start",
                "--wait",
                f"--timeout={_START_SECONDS:.0f}",
                f"--options=-h 127.0.0.1 -p {port} -k '' {options}",
                stdout=output.fileno(),
                # The data folder is passed in PGDATA and not as -D, because pg_ctl would insert the
                # value of -D into a shell command.
                data=self.data,
            )
        return "" if done.returncode == 0 else cause_of_failure(self.log.read_bytes()[begin:])

    def _create_roles_and_databases(self) -> None:
        # This file lists the roles that were created, so that later starts need not create them
        # again. The file is in the data folder, so that removing the cluster also removes the file.
        note = self.data / "loan-scoring-roles"
        wanted = f"{' '.join(sorted(EMBEDDED))} {READER_LIMITS}"
        if not note.exists() or note.read_text() != wanted:
            if self._secrets_file.exists():  # a cluster of 0.2.0 or older lacks this role
                kept_secrets(self._secrets_file, (database.MLFLOW,))
            create_roles_and_databases(self.url("postgres"), self._passwords())
            note.write_text(wanted)


def embedded() -> EmbeddedPostgres:
    """Return the embedded Postgres of the state folder, without starting the server."""
    return EmbeddedPostgres(settings.state_dir())


def _may_pass(cause: str) -> bool:
    """Return whether the cause of a failed start is temporary, so that a retry may succeed."""
    return not cause or any(
        text in cause
        for text in ("does not get ready", "shared memory block", "TCP/IP sockets", "lock file")
    )


def portfolio_database_url(given: str | None = None) -> str:
    """Return the URL of the portfolio database.

    The URL is `given` or, if `given` is None, the environment variable LOAN_SCORING_DATABASE_URL.
    If neither is set, the embedded Postgres is started, and its URL is returned.
    """
    return given or settings.database_url() or embedded().start().url("loan_scoring")
