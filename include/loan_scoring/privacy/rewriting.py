"""Take an erased loan out of landing files, samples, training files and exported months.

Table `erased_files` has the hash before and after of each file. The hash after is noted before the
file is replaced, so that a killed process loses none.
"""

import fcntl
import glob
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loan_scoring import database, settings
from loan_scoring.database.files import draft_path, file_sha256
from loan_scoring.database.session import Session
from loan_scoring.errors import BusyError, SourceError
from loan_scoring.privacy.artifacts import baseline_files, training_files
from loan_scoring.privacy.delivered import delivered_files, find_records, write_without
from loan_scoring.privacy.exports import exports_with, put_export, rewritten_exports
from loan_scoring.privacy.held import known_lines, lines_of, rows_by_key, shown, sources_elsewhere
from loan_scoring.privacy.scans import scanned_files

LOCK = ".erasure.lock"
"""File of the landing folder that an erasure locks.

All containers that erase share this folder. Two erasures at the same time could each put back the
loan that the other one has taken out of a file.
"""


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the lock of erasures during the block. The end of a process frees the lock.

    Raises:
        BusyError: another erasure runs.
    """
    folder = settings.data_dir() / "landing"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError("another erasure runs; run this one again when it has ended") from None
        yield


def rewrite_files(
    session: Session, key: Any, begun: database.Row
) -> tuple[dict[str, str], list[database.Row]]:
    """Rewrite or remove the files that hold the loan. Return the files that cannot be read."""
    contract, not_read = session.contract, {}
    with database.snapshot(session.connection):
        lines = known_lines(session, key)
        applications = rows_by_key(session, key)["applications"]
    for kind, path in delivered_files(contract):
        for left in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 16}.part"):
            left.unlink()  # by an erasure that was killed
        try:
            records = find_records(contract, kind, path, key, lines_of(path, lines))
            if records:
                _replace(session, begun, path, write_without(contract, kind, path, records))
        except SourceError as error:
            not_read[shown(path)] = str(error)
    for path, _ in training_files(session, key):
        _replace(session, begun, path, None)
    for path, _ in scanned_files(session, key):
        _replace(session, begun, path, None)
    for path, table, mask in baseline_files(session, applications):
        _replace_baseline(session, begun, path, table.filter(pa.array(~mask)))
    for location, old, new, draft in rewritten_exports(session, key, begun["pseudonym"]):
        _note_hashes(session, begun, location, old, new)
        put_export(draft, location)
    not_read |= exports_with(session, key)[1]
    with database.snapshot(session.connection):
        return not_read, sources_elsewhere(applications, session)


def _replace(session: Session, begun: database.Row, path: Path, draft: Path | None) -> None:
    """Note the hash of a draft, then put it in the place of a file, or remove the file."""
    try:
        _note(session, begun, path, None if draft is None else file_sha256(draft))
        if draft is None:
            path.unlink(missing_ok=True)
        else:
            draft.replace(path)
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def _replace_baseline(session: Session, begun: database.Row, path: Path, table: pa.Table) -> None:
    """Write a baseline sample without the loan under a new name, which holds its hash.

    The old file goes when no model names it any more: at the end.
    """
    draft = draft_path(path)
    try:
        pq.write_table(table, draft, compression="zstd")
        sha256 = file_sha256(draft)
        draft.replace(path.with_name(_name_by_hash(path.name, sha256)))
    finally:
        draft.unlink(missing_ok=True)
    _note(session, begun, path, sha256)


def _name_by_hash(name: str, sha256: str) -> str:
    """Return the name of an artifact with other content, as `store_by_content` makes it."""
    return f"{name.rpartition('-')[0]}-{sha256[:16]}.parquet"


def _note(session: Session, begun: database.Row, path: Path, new_sha256: str | None) -> None:
    _note_hashes(session, begun, shown(path), file_sha256(path), new_sha256)


def _note_hashes(
    session: Session, begun: database.Row, path: str, old_sha256: str, new_sha256: str | None
) -> None:
    with database.transaction(session.connection):
        database.execute(
            session.connection,
            "insert_erased_file",
            erasure_id=begun["erasure_id"],
            path=path,
            old_sha256=old_sha256,
            new_sha256=new_sha256,
        )


def update_hashes(session: Session, begun: database.Row) -> None:
    """Let the tables know the rewritten files by their new hashes."""
    files = database.rows(session.connection, "select_erased_files", erasure_id=begun["erasure_id"])
    several = database.rows(
        session.connection, "select_files_of_several", hashes=[row["old_sha256"] for row in files]
    )
    pairs = {row["old_sha256"]: row["new_sha256"] for row in files if row["new_sha256"]}
    for row in several:
        old = hashlib.sha256(repr([(name, sha) for name, sha in row["files"]]).encode())
        new = [(name, pairs.get(sha, sha)) for name, sha in row["files"]]
        pairs[old.hexdigest()] = hashlib.sha256(repr(new).encode()).hexdigest()
    names = {row["old_sha256"]: Path(row["path"]).name for row in files}
    for old_sha256, new_sha256 in pairs.items():
        name = names.get(old_sha256, "")
        database.execute(
            session.connection,
            "erase_hashes",
            old_sha256=old_sha256,
            new_sha256=new_sha256,
            artifact=_name_by_hash(name, new_sha256) if name.startswith("baseline-") else None,
        )
