"""Back up and restore the portfolios: a dump of their schemas and MLflow's, and the artifacts."""

import hashlib
import json
import logging
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from psycopg2.extensions import connection as Connection

from loan_scoring import __version__, contract, database, settings
from loan_scoring.contract import Contract
from loan_scoring.database import audit
from loan_scoring.database.files import read_artifact, replacing
from loan_scoring.database.migrations import migrate_schema
from loan_scoring.database.programs import postgres_program
from loan_scoring.database.roles import MLFLOW_SCHEMA
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError

log = logging.getLogger(__name__)

DUMP, MANIFEST = "database.dump", "manifest.json"
FOLDERS = ("artifacts", "quality")
"""Folders of the data folder that are backed up. Landing files are not: the sender has them."""

TRANSACTION_TIMEOUT_SINCE = 17_00_00
"""First server version that knows the setting transaction_timeout, which pg_dump writes."""

HEAD_LINES = 20
"""A dump's settings stand within its first lines, before any data."""


@dataclass(frozen=True)
class Backup:
    """The contents of a backup."""

    folder: Path
    schemas: list[str]
    files: int
    bytes: int
    taken_at: str


def write_backup(folder: Path, url: str) -> Backup:
    """Write a backup into a new folder; if the process is killed, only FOLDER.part is left.

    The dump is one snapshot. Artifacts are copied after it. Each is written before the row that
    names it and never changes, so the copy holds every artifact that the dump names.

    Raises:
        StateError: the folder exists, no portfolio has tables, or pg_dump fails.
    """
    if folder.exists():
        raise StateError(f"{folder} exists already; name a new folder")
    draft = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    taken_at = datetime.now(UTC).isoformat(timespec="seconds")
    with closing(database.connect(MLFLOW_SCHEMA, url)) as connection:
        schemas = [name for name in [*contract.names(), MLFLOW_SCHEMA] if _tables(connection, name)]
        if not schemas:
            raise StateError(
                f"{database.location(connection)} holds no portfolio: nothing to back up"
            )
        options = [f"--schema={name}" for name in schemas]
        _run(connection, ["pg_dump", "--format=custom", f"--file={draft / DUMP}", *options])
    data = settings.data_dir()
    found = (path for name in FOLDERS for path in _files(data / name))
    _copy((str(path.relative_to(data)) for path in found if _is_kept(path)), data, draft)
    files: dict[str, dict[str, Any]] = {
        str(path.relative_to(draft)): {"sha256": _sha256(path), "bytes": path.stat().st_size}
        for path in _files(draft)
    }
    manifest = {
        "taken_at": taken_at, "code_version": __version__, "schemas": schemas, "files": files,
    }  # fmt: skip
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    draft.rename(folder)
    size = sum(each["bytes"] for each in files.values())
    return Backup(folder, schemas, len(files), size, taken_at)


def restore_backup(folder: Path, url: str, *, replace: bool = False) -> Backup:
    """Restore database and artifacts from a backup after verifying all its hashes.

    Artifacts are copied first, then the database changes in one transaction. If the process is
    killed, the database is unchanged, and the same call again completes the restore.

    Args:
        url: of the role that owns the schemas.
        replace: drop the schemas that exist; without it, existing tables of a schema are an error.

    Raises:
        ContractError: a portfolio of the backup has no contract here.
        StateError: the backup is missing or damaged, tables exist, or Postgres refuses the dump.
    """
    manifest = _verified(folder)
    schemas = manifest["schemas"]
    contracts = [contract.load(name) for name in schemas if name != MLFLOW_SCHEMA]
    with closing(database.connect(MLFLOW_SCHEMA, url)) as connection:
        present = [name for name in schemas if _tables(connection, name)]
        if present and not replace:
            raise StateError(
                f"{database.location(connection)} holds {', '.join(present)} already; name another "
                "database, or use --replace to drop them"
            )
        names = (name for name in manifest["files"] if name.split("/")[0] in FOLDERS)
        _copy(names, folder, settings.data_dir())
        _restore_schemas(connection, folder / DUMP, schemas)
    for loaded in contracts:
        _check(loaded, url)
    size = sum(each["bytes"] for each in manifest["files"].values())
    return Backup(folder, schemas, len(manifest["files"]), size, manifest["taken_at"])


def _restore_schemas(connection: Connection, dump: Path, schemas: list[str]) -> None:
    """Drop the schemas and create them from the dump, in one transaction of psql.

    psql rolls back without a COMMIT, even if this process is killed while it writes to psql.
    """
    with database.transaction(connection), connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (database.APPLICATION,))
        has_application = bool(cursor.rowcount)
    command = ["psql", "--no-psqlrc", "--quiet", "--output=/dev/null", "--set=ON_ERROR_STOP=1"]
    with (
        tempfile.TemporaryFile("w+") as errors,
        _start(connection, command, stdin=subprocess.PIPE, stderr=errors) as psql,
    ):
        try:
            _write(
                psql, "BEGIN;", *(f'DROP SCHEMA IF EXISTS "{name}" CASCADE;' for name in schemas)
            )
            for name in schemas:
                _write(psql, f'CREATE SCHEMA "{name}";')
                if name == MLFLOW_SCHEMA and has_application:
                    _write(psql, f'GRANT ALL ON SCHEMA "{name}" TO {database.APPLICATION};')
                    _write(psql, f"SET ROLE {database.APPLICATION};")
                # The restoring role owns the objects; migrations grant the roles of this server.
                restore = ["pg_restore", "--no-owner", "--no-privileges", "--file=-"]
                _pipe(connection, [*restore, f"--schema={name}", str(dump)], psql)
                _write(psql, "RESET ROLE;")
            _write(psql, "COMMIT;")
        except BrokenPipeError:
            pass  # psql reports why it ended
        finally:
            psql.communicate()
        errors.seek(0)
        if psql.returncode:
            raise _refusal("psql", connection, errors.read())


def _check(loaded: Contract, url: str) -> None:
    """Migrate a restored portfolio, then verify its audit log and the hash of every artifact.

    Raises:
        StateError: the log was changed, or an artifact is missing or was changed.
    """
    portfolio = loaded.portfolio
    with closing(database.connect(portfolio, url)) as connection:
        with database.transaction(connection), connection.cursor() as cursor:
            cursor.execute("DELETE FROM schema_migrations WHERE name LIKE 'grants-%'")
        migrate_schema(connection, loaded)
        session = Session(loaded, connection)
        faults = audit.verify_chain(session).faults
        if faults:
            raise StateError(
                f"the audit log of {portfolio} was changed before it was backed up: "
                f"{len(faults)} entries; compare with an older backup"
            )
        with database.transaction(connection):
            for row in database.rows(connection, "select_artifacts"):
                read_artifact(portfolio, row["name"], row["sha256"])


def _verified(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise StateError(f"{folder} is no backup: {MANIFEST} cannot be read ({error})") from error
    for name, noted in manifest["files"].items():
        path = folder / name
        if not path.is_file() or _sha256(path) != noted["sha256"]:
            raise StateError(f"{path} is missing or was changed since {manifest['taken_at']}")
    return manifest


def _tables(connection: Connection, schema: str) -> bool:
    with database.transaction(connection), connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_tables WHERE schemaname = %s LIMIT 1", (schema,))
        return bool(cursor.rowcount)


def _run(connection: Connection, command: list[str]) -> None:
    """Run a Postgres program on the connection's database and wait for its end.

    Raises:
        StateError: the program failed.
    """
    with _start(connection, command, stderr=subprocess.PIPE) as program:
        _, errors = program.communicate()
    if program.returncode:
        raise _refusal(command[0], connection, errors.decode(errors="replace"))


def _pipe(connection: Connection, command: list[str], psql: "subprocess.Popen[bytes]") -> None:
    """Pipe a program's output into psql, without settings that an older server does not know.

    Raises:
        BrokenPipeError: psql has ended.
        StateError: the program failed.
    """
    assert psql.stdin is not None  # noqa: S101 - opened as a pipe
    with (
        tempfile.TemporaryFile("w+") as errors,
        _start(connection, command, stdout=subprocess.PIPE, stderr=errors) as program,
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
            raise _refusal(command[0], connection, errors.read())


def _start(connection: Connection, command: list[str], **pipes: Any) -> "subprocess.Popen[bytes]":
    known = connection.info
    place = {"host": known.host, "port": str(known.port), "password": known.password or ""}
    environment = database.libpq_environment({**known.dsn_parameters, **place})
    return subprocess.Popen([postgres_program(command[0]), *command[1:]], env=environment, **pipes)


def _write(psql: "subprocess.Popen[bytes]", *lines: str) -> None:
    assert psql.stdin is not None  # noqa: S101 - opened as a pipe
    psql.stdin.write("\n".join([*lines, ""]).encode())
    psql.stdin.flush()


def _refusal(program: str, connection: Connection, errors: str) -> StateError:
    lines = errors.strip().splitlines() or ["no reason given"]
    reason = next((line for line in lines if "ERROR:" in line or "error:" in line), lines[0])
    place = database.location(connection)
    return StateError(f"{program} at {place}: {reason}; nothing was changed")


def _copy(names: Iterable[str], source: Path, target: Path) -> None:
    """Copy files, named relative to the folders, each whole or not at all."""
    for name in names:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as draft:
            shutil.copy2(source / name, draft)


def _is_kept(path: Path) -> bool:
    """Return whether a file belongs in a backup: not a draft, not the frozen rows of a training."""
    return path.suffix != ".part" and not path.match("training-*.parquet")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
