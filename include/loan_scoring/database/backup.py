"""Back up and restore all portfolios.

A backup is a folder with a dump of the portfolios' schemas and of schema `mlflow`, the artifacts,
the quality pages and a manifest with the hash of every file.
"""

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
"""Subfolders of the data folder that a backup contains.

Landing files are left out, because the sender of the landing files still has them.
"""

TRANSACTION_TIMEOUT_SINCE = 17_00_00
"""First Postgres version that knows the setting `transaction_timeout`.

The output of pg_restore sets `transaction_timeout`, which older servers refuse.
"""

HEAD_LINES = 20
"""Number of lines at the start of pg_restore's output that may contain settings.

All settings come before the first data.
"""


@dataclass(frozen=True)
class Backup:
    """Summary of a backup: its folder, schemas, number of files, total size and time."""

    folder: Path
    schemas: list[str]
    files: int
    bytes: int
    taken_at: str


def write_backup(folder: Path, url: str) -> Backup:
    """Write a backup of all portfolios into a new folder, and return its summary.

    If the process is killed, `folder` does not exist, and only FOLDER.part is left. The next call
    replaces FOLDER.part.

    The dump is one snapshot of the database. Artifacts are copied after the dump. The copy holds
    every artifact that the dump names, because an artifact is written before the row that names
    it, and never changes.

    Args:
        folder: folder to create.
        url: database URL of a role that may read all schemas.

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
    """Verify the hashes of a backup, then restore its files and its schemas.

    Files are copied first. Then one transaction restores all schemas. At the end each portfolio is
    migrated and verified. If the process is killed before the transaction commits, the database is
    unchanged, and the same call can be repeated.

    Args:
        folder: folder that `write_backup` wrote.
        url: database URL of the role that owns the schemas.
        replace: If True, drop schemas of the backup that exist in the database. If False, raise an
            error if one of them has tables.

    Raises:
        ContractError: a portfolio of the backup has no contract in this installation.
        StateError: the backup is missing or damaged, a schema has tables already, Postgres refuses
            the dump, or the restored audit log or an artifact was changed.
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
    """Drop the schemas and create them again from the dump, in one transaction of psql.

    If this process is killed, psql never receives the COMMIT and rolls everything back.

    Raises:
        StateError: pg_restore or psql failed.
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
                # The dump may name owners and grantees that this server lacks, so both are left
                # out. The current role owns the objects, and _check grants the rights again.
                restore = ["pg_restore", "--no-owner", "--no-privileges", "--file=-"]
                _pipe(connection, [*restore, f"--schema={name}", str(dump)], psql)
                _write(psql, "RESET ROLE;")
            _write(psql, "COMMIT;")
        except BrokenPipeError:
            pass  # psql has ended early, so its error is raised below
        finally:
            psql.communicate()
        errors.seek(0)
        if psql.returncode:
            raise _refusal("psql", connection, errors.read())


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
    """Run a Postgres program on the database of `connection`, and wait until the program ends.

    Raises:
        StateError: the program failed.
    """
    with _start(connection, command, stderr=subprocess.PIPE) as program:
        _, errors = program.communicate()
    if program.returncode:
        raise _refusal(command[0], connection, errors.decode(errors="replace"))


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
    """Copy files from `source` to `target`, so that a kill never leaves a half-written file.

    `names` are paths relative to `source`. The copies get the same paths relative to `target`.
    """
    for name in names:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as draft:
            shutil.copy2(source / name, draft)


def _is_kept(path: Path) -> bool:
    """Return True if a file belongs in a backup.

    Unfinished drafts (.part) do not belong in a backup. Neither do the files training-*.parquet,
    in which a training keeps its rows until it ends.
    """
    return path.suffix != ".part" and not path.match("training-*.parquet")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
