"""Read the scanned files of a date, record each page, and land what is certain."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loan_scoring import database
from loan_scoring.counted import counted
from loan_scoring.database.partitions import ensure_partition, refuse_dropped
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError
from loan_scoring.scans.classifier import KIND_WORDS, Classified, Classifier, load_classifier
from loan_scoring.scans.degrade import Image
from loan_scoring.scans.fields import judge_page
from loan_scoring.scans.landing import land_pages
from loan_scoring.scans.layout import Layout, form_layout
from loan_scoring.scans.pages import ENDINGS, page_images
from loan_scoring.scans.recognise import read_boxes
from loan_scoring.scans.records import (
    NO_FILE,
    content_of,
    finish_file,
    finished_files,
    line_of,
    record_page,
    recorded_pages,
    refuse_gone,
    refuse_page,
    scanned_paths,
    scans_folder,
)
from loan_scoring.scans.straighten import straighten

log = logging.getLogger(__name__)

MAY_BE_FORM = 0.25
"""Probability from which a page may be a form, as one kind of four."""
NAMED = 0.6
"""Probability from which another kind of page is named: more than all others together."""


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


def read_scans(session: Session, batch_id: str, by: str) -> ReadScans:
    """Read the files of a date that were not read yet, and land the pages that are certain.

    A file that cannot be read hinders no other: it is recorded as refused and tried again by the
    next call. A page that was read stays as it is while its file is the same. A waiting page whose
    file was removed waits no longer. A killed call loses at most the page in work.

    Raises:
        SourceError: there is no file, or another delivery of the date is in the way.
        StateError: the contract declares no form, or a package is missing.
        GoneError: retention has dropped the batch.
    """
    layout, portfolio = form_layout(session.contract), session.contract.portfolio
    refuse_dropped(session.connection, batch_id)
    files = scanned_paths(portfolio, batch_id)
    with database.transaction(session.connection):
        known = database.rows(session.connection, "select_scans", batch_id=batch_id)
    if not files and not known:  # an erasure may have removed the files of pages that are known
        folder = scans_folder(portfolio, batch_id)
        raise SourceError(
            f"no scans for {batch_id}: put the files ({', '.join(ENDINGS)}) into {folder}"
        )
    # Retention goes by months of applications, also where no page becomes one.
    ensure_partition(session.connection, "applications", batch_id)
    done, classifier = ReadScans(batch_id), load_classifier(session)
    finished = finished_files(session, batch_id, layout.code)
    for path in files:
        row = {"batch_id": batch_id, "file_name": path.name, "form_code": layout.code}
        _read_file(session, layout, classifier, row, path, finished, done)
    refuse_gone(session, batch_id)
    with database.transaction(session.connection):
        pages = database.rows(session.connection, "select_scans", batch_id=batch_id)
    for state in ("passed", "waiting", "corrected"):
        setattr(done, state, sum(row["state"] == state for row in pages))
    landed = land_pages(session, batch_id, by)
    if landed is not None:
        done.landed, done.rows = landed
    return done


def _read_file(
    session: Session,
    layout: Layout,
    classifier: Classifier | None,
    row: dict[str, Any],
    path: Path,
    finished: set[str],
    done: ReadScans,
) -> None:
    """Read the pages of a file that were not read yet. What cannot be read is recorded."""
    row |= {"sha256": NO_FILE, "page": 0}
    try:
        content, row["sha256"] = content_of(session.contract.portfolio, path)
    except SourceError as error:
        _refuse(session, row, line_of(error, path), recorded_pages(session, row), done)
        return
    known = recorded_pages(session, row)
    whole = {number for number, each in known.items() if each["state"] != "refused"}
    if row["sha256"] in finished and len(whole) == len(known) > 0:
        return
    number = 0
    try:
        for number, image in enumerate(page_images(path, content, whole), 1):
            if number not in whole:
                row["page"] = number
                _read_page(session, layout, classifier, row, path, image, known, done)
    except SourceError as error:
        _refuse(session, row | {"page": 0}, line_of(error, path), known, done)
    finish_file(session, row, number)


def _read_page(
    session: Session,
    layout: Layout,
    classifier: Classifier | None,
    row: dict[str, Any],
    path: Path,
    image: Image | SourceError,
    known: dict[int, database.Row],
    done: ReadScans,
) -> None:
    where, seen = f"{path.name} page {row['page']}", None
    try:
        if isinstance(image, SourceError):
            raise image
        seen = classifier.classify(image) if classifier else None
        page = straighten(image, layout, where)
    except SourceError as error:
        _refuse(session, row, _named(where, line_of(error, path), seen), known, done, seen)
        return
    read = judge_page(session.contract, layout, read_boxes(page.image, layout.boxes))
    record_page(session, row, read, page.quality.as_dict(), seen)
    if read.doubtful:
        log.info("%s: waits for a person: %s", where, ", ".join(read.doubtful))


def _named(where: str, reason: str, seen: Classified | None) -> str:
    """Return why a page is refused. What is hardly a form is called so, by its name if it has one.

    A page that may be a form keeps the reason, which says how to scan it.
    """
    if seen is None or seen.kind == "form" or seen.form_score >= MAY_BE_FORM:
        return reason
    name = f", but {KIND_WORDS[seen.kind]} ({seen.score:.0%} certain)"
    return (
        f"{where}: this is no form{name if seen.score >= NAMED else ''}; remove it, or scan the "
        "form again if it is one"
    )


def _refuse(
    session: Session,
    row: dict[str, Any],
    line: str,
    known: dict[int, database.Row],
    done: ReadScans,
    seen: Classified | None = None,
) -> None:
    """Record a page or a file that is refused, unless the same is recorded already."""
    done.refused.append(line)
    log.warning("%s", line)
    if row["page"] not in known or known[row["page"]]["reason"] != line:
        refuse_page(session, row, line, seen)


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
