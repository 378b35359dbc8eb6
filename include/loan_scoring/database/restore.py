"""Restore all portfolios from a backup."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from psycopg2.extensions import connection as Connection

from loan_scoring import contract, database, settings
from loan_scoring.contract import Contract
from loan_scoring.database import audit, sealing
from loan_scoring.database.backup import (
    DUMP,
    Backup,
    copy_files,
    has_tables,
    record_backup,
)
from loan_scoring.database.backup_manifest import verified_manifest
from loan_scoring.database.files import read_artifact
from loan_scoring.database.migrations import migrate_schema
from loan_scoring.database.programs import program_error, start_program
from loan_scoring.database.roles import MLFLOW_SCHEMA, mlflow_grants
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError

TRANSACTION_TIMEOUT_SINCE = 17_00_00
"""First Postgres version that knows the setting `transaction_timeout`.

The output of pg_restore sets `transaction_timeout`, which older servers refuse.
"""


HEAD_LINES = 20
"""Number of lines at the start of pg_restore's output that may contain settings.

All settings come before the first data.
"""


def restore_backup(
    folder: Path, url: str, *, replace: bool = False, unsigned: bool = False
) -> Backup:
    """Verify signature and hashes of a backup, then restore its files and its schemas.

    With LOAN_SCORING_BACKUP_KEY a backup without a signature is refused. Encrypted files are
    decrypted into a private temporary folder first, which takes the room of the whole backup.

    Files are copied first. Then one transaction restores all schemas. At the end each portfolio is
    migrated and verified. If the process is killed before the transaction commits, the database is
    unchanged, and the same call can be repeated.

    Args:
        folder: folder that `write_backup` wrote.
        url: database URL of the role that owns the schemas.
        replace: If True, drop schemas of the backup that exist in the database. If False, raise an
            error if one of these schemas has tables.
        unsigned: If True, a backup without a signature is restored although there is a key.

    Raises:
        ContractError: a portfolio of the backup has no contract in this installation.
        StateError: the backup is missing or damaged, it is not signed with the key of this
            installation, a file of it leads out of its folder, a schema has tables already,
            Postgres refuses the dump, or the restored audit log or an artifact was changed.
    """
    key = sealing.backup_key()
    manifest, is_signed = verified_manifest(folder, key, unsigned)
    schemas = manifest["schemas"]
    contracts = [contract.load(name) for name in schemas if name != MLFLOW_SCHEMA]
    with closing(database.connect(MLFLOW_SCHEMA, url)) as connection:
        present = [name for name in schemas if has_tables(connection, name)]
        if present and not replace:
            raise StateError(
                f"{database.location(connection)} holds {', '.join(present)} already; name another "
                "database, or use --replace to drop them"
            )
        with _plain(folder, manifest, key) as plain:
            copy_files((name for name in manifest["files"] if name != DUMP), plain, _data_dir())
            _restore_schemas(connection, plain / DUMP, schemas)
    for loaded in contracts:
        _check(loaded, url)
        record_backup(
            loaded.portfolio,
            url,
            folder,
            manifest["taken_at"],
            manifest.get("ends_on"),
            manifest.get("is_encrypted", False),
        )
    size = sum(each["bytes"] for each in manifest["files"].values())
    return Backup(
        folder,
        schemas,
        len(manifest["files"]),
        size,
        manifest["taken_at"],
        is_signed,
        manifest.get("is_encrypted", False),
        manifest.get("ends_on"),
    )


@contextmanager
def _plain(folder: Path, manifest: dict[str, Any], key: bytes | None) -> Iterator[Path]:
    """Yield a folder that holds the files of a backup in plain.

    Raises:
        StateError: the backup is encrypted and there is no key, or the key is another one.
    """
    if not manifest.get("is_encrypted", False):
        yield folder
        return
    if key is None:
        raise StateError(f"{folder} is encrypted: set LOAN_SCORING_BACKUP_KEY to its secret")
    with tempfile.TemporaryDirectory() as name:
        for each in manifest["files"]:
            target = Path(name) / each
            target.parent.mkdir(parents=True, exist_ok=True)
            sealing.decrypt_file(key, each, folder / each, target)
        yield Path(name)


def _data_dir() -> Path:
    settings.data_dir().mkdir(parents=True, exist_ok=True)
    return settings.data_dir()


def _restore_schemas(connection: Connection, dump: Path, schemas: list[str]) -> None:
    """Drop the schemas and create them again from the dump, in one transaction of psql.

    If this process is killed, psql never receives the COMMIT and rolls everything back.

    Raises:
        StateError: pg_restore or psql failed.
    """
    with database.transaction(connection), connection.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles")
        roles = {name for (name,) in cursor.fetchall()}
    grants = f"{mlflow_grants().as_string(connection)};" if database.MLFLOW in roles else ""
    command = ["psql", "--no-psqlrc", "--quiet", "--output=/dev/null", "--set=ON_ERROR_STOP=1"]
    with (
        tempfile.TemporaryFile("w+") as errors,
        start_program(connection, command, stdin=subprocess.PIPE, stderr=errors) as psql,
    ):
        try:
            _write(
                psql, "BEGIN;", *(f'DROP SCHEMA IF EXISTS "{name}" CASCADE;' for name in schemas)
            )
            for name in schemas:
                is_applications = name == MLFLOW_SCHEMA and database.APPLICATION in roles
                owner = f" AUTHORIZATION {database.APPLICATION}" if is_applications else ""
                _write(psql, f'CREATE SCHEMA "{name}"{owner};')
                if is_applications:
                    _write(psql, f"SET ROLE {database.APPLICATION};")
                # The dump may name roles that this server lacks, so owners and grants are left out.
                # The current role then owns the objects, and _check grants the rights again.
                restore = ["pg_restore", "--no-owner", "--no-privileges", "--file=-"]
                _pipe(connection, [*restore, f"--schema={name}", str(dump)], psql)
                if name == MLFLOW_SCHEMA:
                    _write(psql, grants)
                _write(psql, "RESET ROLE;")
            _write(psql, "COMMIT;")
        except BrokenPipeError:
            pass  # psql has ended early, so its error is raised below
        finally:
            psql.communicate()
        errors.seek(0)
        if psql.returncode:
            raise program_error("psql", connection, errors.read())


def _check(loaded: Contract, url: str) -> None:
    """Migrate a restored portfolio, then verify its audit log and the hash of every artifact.

    The restore left out all rights. So the rows `grants-...` of table `schema_migrations` are
    deleted first, because then the migration grants the rights again.

    Raises:
        StateError: the audit log was changed, or an artifact is missing or was changed.
    """
    portfolio = loaded.portfolio
    with closing(database.connect(portfolio, url)) as connection:
        with database.transaction(connection), connection.cursor() as cursor:
            cursor.execute("DELETE FROM schema_migrations WHERE name LIKE 'grants-%'")
        migrate_schema(connection, loaded)
        session = Session(loaded, connection)
        faults = audit.verify_chain(session).sentences
        if faults:
            raise StateError(
                f"the audit log of {portfolio} was changed before it was backed up: "
                f"{'; '.join(faults[:3])}; compare with an older backup"
            )
        with database.transaction(connection):
            for row in database.rows(connection, "select_artifacts"):
                read_artifact(portfolio, row["name"], row["sha256"])


def _pipe(connection: Connection, command: list[str], psql: "subprocess.Popen[bytes]") -> None:
    """Run a Postgres program and write its output to psql.

    Lines that set `transaction_timeout` are left out if the server is older than Postgres 17,
    because such a server would refuse them.

    Raises:
        BrokenPipeError: psql has ended.
        StateError: the program failed.
    """
    assert psql.stdin is not None  # noqa: S101 - opened as a pipe
    with (
        tempfile.TemporaryFile("w+") as errors,
        start_program(connection, command, stdout=subprocess.PIPE, stderr=errors) as program,
    ):
        assert program.stdout is not None  # noqa: S101 - opened as a pipe
        source, target = program.stdout, psql.stdin
        if connection.server_version < TRANSACTION_TIMEOUT_SINCE:
            for line in islice(source, HEAD_LINES):
                if not line.startswith(b"SET transaction_timeout "):
                    target.write(line)
        shutil.copyfileobj(source, target)
        target.flush()
        program.wait()
        errors.seek(0)
        if program.returncode:
            raise program_error(command[0], connection, errors.read())


def _write(psql: "subprocess.Popen[bytes]", *lines: str) -> None:
    assert psql.stdin is not None  # noqa: S101 - opened as a pipe
    psql.stdin.write("\n".join([*lines, ""]).encode())
    psql.stdin.flush()
