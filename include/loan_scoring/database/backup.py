"""Back up all portfolios.

A backup is a folder with a dump of the portfolios' schemas and of schema `mlflow`, the artifacts,
the quality pages and a manifest with the hash of every file.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg2.extensions import connection as Connection

from loan_scoring import __version__, contract, database, settings
from loan_scoring.database.files import replacing
from loan_scoring.database.programs import run_program
from loan_scoring.database.roles import MLFLOW_SCHEMA
from loan_scoring.errors import StateError

log = logging.getLogger(__name__)

DUMP, MANIFEST = "database.dump", "manifest.json"
FOLDERS = ("artifacts", "quality")
"""Subfolders of the data folder that a backup contains.

Landing files are left out, because the sender of the landing files still has them.
"""


@dataclass(frozen=True)
class Backup:
    """Summary of a backup: folder, schemas, number and total size of the files, and time."""

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
    the artifact, and an artifact never changes.

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
        schemas = [
            name for name in [*contract.names(), MLFLOW_SCHEMA] if has_tables(connection, name)
        ]
        if not schemas:
            raise StateError(
                f"{database.location(connection)} holds no portfolio: nothing to back up"
            )
        options = [f"--schema={name}" for name in schemas]
        run_program(connection, ["pg_dump", "--format=custom", f"--file={draft / DUMP}", *options])
    data = settings.data_dir()
    found = (path for name in FOLDERS for path in _files(data / name))
    copy_files((str(path.relative_to(data)) for path in found if _is_kept(path)), data, draft)
    files: dict[str, dict[str, Any]] = {
        str(path.relative_to(draft)): {"sha256": file_sha256(path), "bytes": path.stat().st_size}
        for path in _files(draft)
    }
    manifest = {
        "taken_at": taken_at, "code_version": __version__, "schemas": schemas, "files": files,
    }  # fmt: skip
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    draft.rename(folder)
    size = sum(each["bytes"] for each in files.values())
    return Backup(folder, schemas, len(files), size, taken_at)


def has_tables(connection: Connection, schema: str) -> bool:
    with database.transaction(connection), connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_tables WHERE schemaname = %s LIMIT 1", (schema,))
        return bool(cursor.rowcount)


def copy_files(names: Iterable[str], source: Path, target: Path) -> None:
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

    Return False for unfinished drafts (.part), and for the files training-*.parquet, which hold the
    rows of a training only until the training ends.
    """
    return path.suffix != ".part" and not path.match("training-*.parquet")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
