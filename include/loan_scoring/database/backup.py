"""Back up all portfolios.

A backup is a folder with a dump of the portfolios' schemas and of schema `mlflow`, the artifacts,
the quality pages and a manifest with the hash of every file.
"""

import json
import logging
import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg2.extensions import connection as Connection

from loan_scoring import __version__, contract, database, settings
from loan_scoring.database import sealing
from loan_scoring.database.files import file_sha256, replacing
from loan_scoring.database.programs import run_program
from loan_scoring.database.roles import MLFLOW_SCHEMA
from loan_scoring.errors import StateError

log = logging.getLogger(__name__)

DUMP, MANIFEST, SIGNATURE = "database.dump", "manifest.json", "manifest.hmac"
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
    is_signed: bool = False
    is_encrypted: bool = False
    ends_on: str | None = None
    """Day after which the backup is to be deleted, YYYY-MM-DD. None if no end was named."""


def write_backup(
    folder: Path, url: str, *, encrypts: bool = False, keep_days: int | None = None
) -> Backup:
    """Write a backup of all portfolios into a new folder, and return its summary.

    With LOAN_SCORING_BACKUP_KEY the manifest is signed. Each portfolio's table `backups` lists the
    backup with its end, because it holds loans that may be erased later.

    If the process is killed, `folder` does not exist, and only FOLDER.part is left. The next call
    replaces FOLDER.part.

    The dump is one snapshot of the database. Artifacts are copied after the dump. The copy holds
    every artifact that the dump names, because an artifact is written before the row that names
    the artifact, and an artifact never changes.

    Args:
        folder: folder to create.
        url: database URL of a role that may read all schemas, and owns them.
        encrypts: whether all files but the manifest are encrypted.
        keep_days: days after which the backup is to be deleted. If None, no end is on record.

    Raises:
        StateError: the folder exists, no portfolio has tables, pg_dump fails, or there is no key
            to encrypt with.
    """
    key = sealing.backup_key()
    if encrypts and key is None:
        raise StateError("an encrypted backup needs a secret: set LOAN_SCORING_BACKUP_KEY")
    if folder.exists():
        raise StateError(f"{folder} exists already; name a new folder")
    draft = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    now = datetime.now(UTC)
    taken_at = now.isoformat(timespec="seconds")
    ends_on = None if keep_days is None else (now + timedelta(days=keep_days)).date().isoformat()
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
    if encrypts and key is not None:
        for path in list(_files(draft)):
            sealed = path.with_name(f"{path.name}.part")
            sealing.encrypt_file(key, str(path.relative_to(draft)), path, sealed)
            sealed.replace(path)
    files: dict[str, dict[str, Any]] = {
        str(path.relative_to(draft)): {"sha256": file_sha256(path), "bytes": path.stat().st_size}
        for path in _files(draft)
    }
    manifest = {
        "taken_at": taken_at, "code_version": __version__, "schemas": schemas, "files": files,
        "is_encrypted": encrypts, "ends_on": ends_on,
    }  # fmt: skip
    content = (json.dumps(manifest, indent=2) + "\n").encode()
    (draft / MANIFEST).write_bytes(content)
    if key is not None:
        (draft / SIGNATURE).write_text(sealing.signature(key, content) + "\n")
    draft.rename(folder)
    for name in schemas:
        if name != MLFLOW_SCHEMA:
            record_backup(name, url, folder, taken_at, ends_on, encrypts)
    size = sum(each["bytes"] for each in files.values())
    return Backup(folder, schemas, len(files), size, taken_at, key is not None, encrypts, ends_on)


def record_backup(
    schema: str, url: str, folder: Path, taken_at: str, ends_on: str | None, encrypts: bool
) -> None:
    """List a backup in table `backups` of a portfolio, unless it is there.

    A restore lists it too, because a dump is older than the row about it.
    """
    with closing(database.connect(schema, url)) as connection, database.transaction(connection):
        database.execute(
            connection,
            "insert_backup",
            folder=str(folder),
            taken_at=taken_at,
            ends_on=ends_on,
            is_encrypted=encrypts,
        )


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
    """Yield the regular files below a folder. Links are left out, because restore refuses them."""
    found = sorted(folder.rglob("*"))
    return (path for path in found if path.is_file() and not path.is_symlink())
