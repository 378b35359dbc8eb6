"""Read the scanned files of a date, record each page, and land what is certain."""

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from psycopg2.extras import Json

from loan_scoring import database, settings
from loan_scoring.counted import counted
from loan_scoring.database.partitions import ensure_partition, refuse_dropped
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError
from loan_scoring.ingest.deliveries import refuse_outside
from loan_scoring.scans.fields import ReadPage, judge_page
from loan_scoring.scans.landing import land_pages
from loan_scoring.scans.layout import Layout, form_layout
from loan_scoring.scans.pages import ENDINGS, page_images, read_bytes
from loan_scoring.scans.recognise import read_boxes
from loan_scoring.scans.straighten import straighten

log = logging.getLogger(__name__)

NAME = re.compile(r"[^./][^/]*")
NO_FILE = "0" * 64
"""Hash of a file that was not read, because it is too large or a link."""


@dataclass
class ReadScans:
    """What became of the scanned pages of a date. `refused` has a line for each page or file."""

    batch_id: str
    passed: int = 0
    waiting: int = 0
    corrected: int = 0
    refused: list[str] = field(default_factory=list)
    landed: str | None = None
    rows: int = 0


def scans_folder(portfolio: str, batch_id: str) -> Path:
    """Return the folder into which the scans of a date are dropped."""
    return settings.landing_dir(portfolio) / "scans" / batch_id


def read_scans(session: Session, batch_id: str, by: str) -> ReadScans:
    """Read the files of a date that were not read yet, and land the pages that are certain.

    A file that cannot be read hinders no other: it is recorded as refused and tried again by the
    next call. A page that was read stays as it is while its file and the form are the same.

    Raises:
        SourceError: there is no file, or another delivery of the date is in the way.
        StateError: the contract declares no form, or a package is missing.
        GoneError: retention has dropped the batch.
    """
    layout = form_layout(session.contract)
    refuse_dropped(session.connection, batch_id)
    files = list(_files(session, batch_id))
    with database.transaction(session.connection):
        known = database.rows(session.connection, "select_scans", batch_id=batch_id)
    if not files and not known:  # an erasure may have removed the files of pages that are known
        folder = scans_folder(session.contract.portfolio, batch_id)
        raise SourceError(
            f"no scans for {batch_id}: put the files ({', '.join(ENDINGS)}) into {folder}"
        )
    # Retention goes by months of applications, also where no page becomes one.
    ensure_partition(session.connection, "applications", batch_id)
    done = ReadScans(batch_id)
    for path in files:
        _read_file(session, layout, batch_id, path, done)
    with database.transaction(session.connection):
        pages = database.rows(session.connection, "select_scans", batch_id=batch_id)
    for state in ("passed", "waiting", "corrected"):
        setattr(done, state, sum(row["state"] == state for row in pages))
    landed = land_pages(session, batch_id, by)
    if landed is not None:
        done.landed, done.rows = landed
    return done


def _files(session: Session, batch_id: str) -> Iterator[Path]:
    folder = scans_folder(session.contract.portfolio, batch_id)
    for path in sorted(folder.glob("*")):
        if NAME.fullmatch(path.name) and path.is_file() and path.suffix.lower() in ENDINGS:
            yield path


def _read_file(
    session: Session, layout: Layout, batch_id: str, path: Path, done: ReadScans
) -> None:
    """Read the pages of a file that were not read yet. What cannot be read is recorded."""
    row: dict[str, Any] = {"batch_id": batch_id, "file_name": path.name}
    row |= {"form_code": layout.code, "sha256": NO_FILE, "page": 0}
    try:
        refuse_outside(path, settings.landing_dir(session.contract.portfolio))
        content = read_bytes(path)
    except SourceError as error:
        _refuse(session, row, str(error), _known(session, row), done)
        return
    row["sha256"] = hashlib.sha256(content).hexdigest()
    known = _known(session, row)
    pages = page_images(path, content)
    for number in count(1):
        row["page"] = number
        where = f"{path.name} page {number}"
        try:
            image = next(pages, None)
            if image is None:
                return
            if number in known and known[number]["state"] != "refused":
                continue
            page = straighten(image, layout, where)
        except SourceError as error:
            _refuse(session, row, str(error), known, done)
            continue
        read = judge_page(session.contract, layout, read_boxes(page.image, layout.boxes))
        record_page(session, row, read, page.quality.as_dict())
        if read.doubtful:
            log.info("%s: waits for a person: %s", where, ", ".join(read.doubtful))


def _known(session: Session, row: Mapping[str, Any]) -> dict[int, database.Row]:
    """Return what is recorded of the pages of this very file, read by this form."""
    with database.transaction(session.connection):
        pages = database.rows(session.connection, "select_scans", batch_id=row["batch_id"])
    same = ("file_name", "sha256", "form_code")
    return {each["page"]: each for each in pages if all(each[n] == row[n] for n in same)}


def record_page(
    session: Session, row: Mapping[str, Any], read: ReadPage, quality: Mapping[str, float]
) -> None:
    """Record a page that was read.

    Args:
        session: database session of the application role.
        row: `batch_id`, `file_name`, `sha256`, `page` and `form_code`.
        read: what was read.
        quality: figures of the scan.
    """
    columns = {
        "state": "waiting" if read.doubtful else "passed",
        "reason": None,
        "loan_id": read.key,
        "fields": Json({name: each.as_dict() for name, each in read.fields.items()}),
        "doubtful": read.doubtful,
        "quality": Json(dict(quality)),
    }
    _insert(session, {**row, **columns})


def _refuse(
    session: Session,
    row: dict[str, Any],
    reason: str,
    known: Mapping[int, database.Row],
    done: ReadScans,
) -> None:
    """Record a page or a file that is refused, unless the same is recorded already."""
    line = " ".join(reason.split())
    done.refused.append(line)
    log.warning("%s", line)
    if row["page"] in known and known[row["page"]]["reason"] == line:
        return
    empty: dict[str, Any] = {
        "loan_id": None,
        "fields": Json({}),
        "doubtful": [],
        "quality": Json({}),
    }
    _insert(session, row | empty | {"state": "refused", "reason": line})


def _insert(session: Session, row: dict[str, Any]) -> None:
    with database.transaction(session.connection):
        database.row(session.connection, "insert_scan", **row)


def summary(done: ReadScans) -> str:
    """Return what happened as one line, and a line for each refusal."""
    parts = [
        f"{counted(done.passed, 'page')} certain",
        f"{done.corrected} corrected",
        f"{done.waiting} waiting for a person",
        f"{len(done.refused)} refused",
    ]
    to = f"; {done.landed} has {counted(done.rows, 'application')}" if done.landed else ""
    return "\n".join([f"scans of {done.batch_id}: {', '.join(parts)}{to}", *done.refused])
