"""Record what became of scanned pages and files, and find the dates that have something new."""

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psycopg2.extras import Json

from loan_scoring import database, settings
from loan_scoring.contract.business_dates import read_date
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError
from loan_scoring.ingest.deliveries import refuse_outside
from loan_scoring.scans.classifier import Classified
from loan_scoring.scans.fields import ReadPage
from loan_scoring.scans.layout import form_layout
from loan_scoring.scans.pages import ENDINGS, read_bytes

NO_FILE = "0" * 64
"""Hash of a file that was not read, because it is too large or a link."""
GONE = "the file was removed or replaced before a person corrected the page"
RECENT_DAYS = 7
"""What was written or corrected in so many days is looked at on each tick."""


def scans_folder(portfolio: str, batch_id: str) -> Path:
    """Return the folder into which the scans of a date are dropped."""
    return settings.landing_dir(portfolio) / "scans" / batch_id


def scanned_paths(portfolio: str, batch_id: str) -> list[Path]:
    """Return the files in the folder of a date that may be scans, sorted. Hidden ones are not."""
    return [
        path
        for path in sorted(scans_folder(portfolio, batch_id).glob("*"))
        if not path.name.startswith(".") and path.is_file() and path.suffix.lower() in ENDINGS
    ]


def content_of(portfolio: str, path: Path) -> tuple[bytes, str]:
    """Return content and sha256 of a scanned file.

    Raises:
        SourceError: it is a link out of the landing folder, too large, or cannot be read.
    """
    refuse_outside(path, settings.landing_dir(portfolio))
    content = read_bytes(path)
    return content, hashlib.sha256(content).hexdigest()


def dates_to_read(session: Session) -> list[str]:
    """Return the dates with files that were not read yet, or pages that may not have landed.

    A file under a known name is opened only if it was written in the last days. A date that
    retention has dropped, and a folder whose name is no date, are left out.

    Raises:
        StateError: the contract declares no form.
    """
    portfolio, code = session.contract.portfolio, form_layout(session.contract).code
    with database.transaction(session.connection):
        dropped = {
            row["month"] for row in database.rows(session.connection, "select_dropped_months")
        }
        recent = database.rows(session.connection, "select_recent_scan_dates", days=RECENT_DAYS)
        names = database.rows(session.connection, "select_scan_file_names")
    known = {(row["batch_id"], row["file_name"]) for row in names}
    found = {row["batch_id"] for row in recent}
    for folder in (settings.landing_dir(portfolio) / "scans").glob("*"):
        if read_date(folder.name) is not None and _has_new(session, folder.name, code, known):
            found.add(folder.name)
    return sorted(each for each in found if each[:7] not in dropped)


def _has_new(session: Session, batch_id: str, code: str, known: set[tuple[str, str]]) -> bool:
    """Return whether a folder has a file that was not read, or that was written anew."""
    paths = scanned_paths(session.contract.portfolio, batch_id)
    if any((batch_id, path.name) not in known for path in paths):
        return True
    since = time.time() - RECENT_DAYS * 86_400
    # A copy may keep the time of its original, but not the time of the change of its inode.
    written = [path for path in paths if path.lstat().st_ctime >= since]
    done = finished_files(session, batch_id, code) if written else set()
    for path in written:
        try:
            if content_of(session.contract.portfolio, path)[1] not in done:
                return True
        except SourceError as error:
            row = {"batch_id": batch_id, "file_name": path.name, "sha256": NO_FILE}
            if recorded_pages(session, row).get(0, {}).get("reason") != line_of(error, path):
                return True
    return False


def finished_files(session: Session, batch_id: str, code: str) -> set[str]:
    """Return the hashes of the files of a date of which every page was looked at."""
    with database.transaction(session.connection):
        rows = database.rows(
            session.connection, "select_scan_files", batch_id=batch_id, form_code=code
        )
    return {row["sha256"] for row in rows}


def finish_file(session: Session, row: Mapping[str, Any], pages: int) -> None:
    """Record that every page of a file was looked at. `row` is as in `record_page`."""
    with database.transaction(session.connection):
        database.execute(session.connection, "insert_scan_file", pages=pages, **_named(row))


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("batch_id", "sha256", "form_code")}


def recorded_pages(session: Session, row: Mapping[str, Any]) -> dict[int, database.Row]:
    """Return what is recorded of the pages of this very file, by number."""
    names = ("batch_id", "file_name", "sha256")
    with database.transaction(session.connection):
        pages = database.rows(
            session.connection, "select_scans_of_file", **{name: row[name] for name in names}
        )
    return {each["page"]: each for each in pages}


def record_page(
    session: Session,
    row: Mapping[str, Any],
    read: ReadPage,
    quality: Mapping[str, float],
    seen: Classified | None = None,
) -> None:
    """Record a page that was read. If another process recorded it meanwhile, nothing changes.

    Args:
        session: database session of the application role.
        row: `batch_id`, `file_name`, `sha256`, `page` and `form_code`.
        read: what was read.
        quality: figures of the scan.
        seen: what the classifier takes the page for; None without a classifier.
    """
    columns = {
        "state": "waiting" if read.doubtful else "passed",
        "reason": None,
        "loan_id": read.key,
        "fields": Json({name: each.as_dict() for name, each in read.fields.items()}),
        "doubtful": read.doubtful,
        "quality": Json(dict(quality)),
    }
    _insert(session, {**row, **columns}, seen)


def refuse_page(
    session: Session,
    row: Mapping[str, Any],
    reason: str,
    seen: Classified | None = None,
    *,
    is_gone: bool = False,
) -> None:
    """Record a page or a file, page 0, that is refused. `is_gone` also ends one that waits."""
    columns: dict[str, Any] = {
        "state": "refused",
        "reason": reason,
        "loan_id": None,
        "fields": Json({}),
        "doubtful": [],
        "quality": Json({}),
    }
    _insert(session, {**row, **columns}, seen, is_gone=is_gone)


def refuse_gone(session: Session, batch_id: str) -> None:
    """Record waiting pages as refused if their file was removed: nobody can look at them."""
    with database.transaction(session.connection):
        pages = database.rows(session.connection, "select_scans", batch_id=batch_id)
    there = {path.name for path in scanned_paths(session.contract.portfolio, batch_id)}
    for page in pages:
        if page["state"] == "waiting" and page["file_name"] not in there:
            names = ("batch_id", "file_name", "sha256", "page", "form_code")
            refuse_page(session, {name: page[name] for name in names}, GONE, is_gone=True)


def line_of(error: Exception, path: Path) -> str:
    """Return the message of an error on one line, with the name of the file instead of its path."""
    return " ".join(str(error).split()).replace(f"{path.parent}/", "")


def _insert(
    session: Session, row: dict[str, Any], seen: Classified | None, *, is_gone: bool = False
) -> None:
    with database.transaction(session.connection):
        database.lock(session.connection, f"scans:{row['batch_id']}")
        database.execute(
            session.connection,
            "insert_scan",
            **row,
            is_gone=is_gone,
            page_kind=seen and seen.kind,
            form_score=seen and seen.form_score,
            classified_by=seen and seen.version,
        )
