"""Back up the portfolios: a dump of their schemas and MLflow's, then the artifacts, with hashes."""

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
"""Of the data folder: models, cards and pages of verdicts. Landing files are the sender's."""


TRANSACTION_TIMEOUT_SINCE = 17_00_00
HEAD_LINES = 20
"""Lines of a dump within which its settings stand, before any data."""


@dataclass(frozen=True)
class Backup:
    """What a backup holds."""

    folder: Path
    schemas: list[str]
    files: int
    bytes: int
    taken_at: str


def write_backup(folder: Path, url: str) -> Backup:
    """Write a backup into a new folder; a kill leaves only FOLDER.part.

    The dump is one snapshot. Artifacts are copied after it: they are written before the rows that
    name them and never changed, so that each one that the dump names is there.

    Raises:
        StateError: the folder is there already, nothing is there to dump, or pg_dump fails.
    """
    if folder.exists():
        raise StateError(f"{folder} is there already; name a new folder")
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
        wanted = [f"--schema={name}" for name in schemas]
        _run(connection, ["pg_dump", "--format=custom", f"--file={draft / DUMP}", *wanted])
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
    """Bring database and artifacts to what a backup holds, once all its hashes are right.

    The database changes in one transaction, after the artifacts are there: a kill leaves what was,
    and the same again does the rest.

    Args:
        url: of the role that owns the schemas.
        replace: drop what is there; without it a database with rows of a portfolio is refused.

    Raises:
        ContractError: a portfolio of the backup has no contract here.
        StateError: no backup, a damaged one, tables in the way, or Postgres refuses it.
    """
    manifest = _verified(folder)
    schemas = manifest["schemas"]
    contracts = [contract.load(name) for name in schemas if name != MLFLOW_SCHEMA]
    with closing(database.connect(MLFLOW_SCHEMA, url)) as connection:
        there = [name for name in schemas if _tables(connection, name)]
        if there and not replace:
            raise StateError(
                f"{database.location(connection)} holds {', '.join(there)} already; name another "
                "database, or say --replace to have them dropped"
            )
        names = (name for name in manifest["files"] if name.split("/")[0] in FOLDERS)
        _copy(names, folder, settings.data_dir())
        _restore_schemas(connection, folder / DUMP, schemas)
    for loaded in contracts:
        _check(loaded, url)
    size = sum(each["bytes"] for each in manifest["files"].values())
    return Backup(folder, schemas, len(manifest["files"]), size, manifest["taken_at"])


def _restore_schemas(connection: Connection, dump: Path, schemas: list[str]) -> None:
    """Drop the schemas and make them anew from the dump, all in one transaction of psql.

    psql ends what is not committed, however what writes to it ended.
    """
    with database.transaction(connection), connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (database.APPLICATION,))
        has_application = bool(cursor.rowcount)
    command = ["psql", "--no-psqlrc", "--quiet", "--output=/dev/null", "--set=ON_ERROR_STOP=1"]
    with (
        tempfile.TemporaryFile("w+") as errors,
        _started(connection, command, stdin=subprocess.PIPE, stderr=errors) as psql,
    ):
        try:
            _tell(psql, "BEGIN;", *(f'DROP SCHEMA IF EXISTS "{name}" CASCADE;' for name in schemas))
            for name in schemas:
                _tell(psql, f'CREATE SCHEMA "{name}";')
                if name == MLFLOW_SCHEMA and has_application:
                    _tell(psql, f'GRANT ALL ON SCHEMA "{name}" TO {database.APPLICATION};')
                    _tell(psql, f"SET ROLE {database.APPLICATION};")
                # Owners and rights are this server's: who restores owns, migrations grant anew.
                told = ["pg_restore", "--no-owner", "--no-privileges", "--file=-"]
                _hand_over(connection, [*told, f"--schema={name}", str(dump)], psql)
                _tell(psql, "RESET ROLE;")
            _tell(psql, "COMMIT;")
        except BrokenPipeError:
            pass  # psql says why
        finally:
            psql.communicate()
        errors.seek(0)
        if psql.returncode:
            raise _refusal("psql", connection, errors.read())


def _check(loaded: Contract, url: str) -> None:
    """Migrate what was restored, and see that its chain holds and every artifact is the right one.

    Raises:
        StateError: one is not.
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
    for name, told in manifest["files"].items():
        path = folder / name
        if not path.is_file() or _sha256(path) != told["sha256"]:
            raise StateError(f"{path} is missing or was changed since {manifest['taken_at']}")
    return manifest


def _tables(connection: Connection, schema: str) -> bool:
    with database.transaction(connection), connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_tables WHERE schemaname = %s LIMIT 1", (schema,))
        return bool(cursor.rowcount)


def _run(connection: Connection, command: list[str]) -> None:
    """Run a program of Postgres on the connection's database to its end.

    Raises:
        StateError: it failed.
    """
    with _started(connection, command, stderr=subprocess.PIPE) as program:
        _, errors = program.communicate()
    if program.returncode:
        raise _refusal(command[0], connection, errors.decode(errors="replace"))


def _hand_over(connection: Connection, command: list[str], psql: "subprocess.Popen[bytes]") -> None:
    """Give psql what a program writes, without the settings that an older server does not know.

    Raises:
        BrokenPipeError: psql is gone.
        StateError: the program failed.
    """
    assert psql.stdin is not None  # noqa: S101 - opened as a pipe
    with (
        tempfile.TemporaryFile("w+") as errors,
        _started(connection, command, stdout=subprocess.PIPE, stderr=errors) as program,
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


def _started(connection: Connection, command: list[str], **pipes: Any) -> "subprocess.Popen[bytes]":
    known = connection.info
    place = {"host": known.host, "port": str(known.port), "password": known.password or ""}
    environment = database.libpq_environment({**known.dsn_parameters, **place})
    return subprocess.Popen([postgres_program(command[0]), *command[1:]], env=environment, **pipes)


def _tell(psql: "subprocess.Popen[bytes]", *lines: str) -> None:
    assert psql.stdin is not None  # noqa: S101 - opened as a pipe
    psql.stdin.write("\n".join([*lines, ""]).encode())
    psql.stdin.flush()


def _refusal(program: str, connection: Connection, errors: str) -> StateError:
    lines = errors.strip().splitlines() or ["no reason given"]
    said = next((line for line in lines if "ERROR:" in line or "error:" in line), lines[0])
    return StateError(f"{program} at {database.location(connection)}: {said}; nothing was changed")


def _copy(names: Iterable[str], source: Path, target: Path) -> None:
    """Copy files by their names within a folder, whole or not at all each."""
    for name in names:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as draft:
            shutil.copy2(source / name, draft)


def _is_kept(path: Path) -> bool:
    """Tell whether a file is to be kept: half a file, or frozen rows of a training, are not."""
    return path.suffix != ".part" and not path.match("training-*.parquet")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
