"""Read what the pages of scanned forms show: the list, and one page with its crops."""

import base64
from typing import Any

from loan_scoring.contract import Column
from loan_scoring.database.session import Session
from loan_scoring.errors import LoanScoringError
from loan_scoring.scans.doubts import doubt_words

FIELD = "field-"
SEEN = "seen-"
"""Beginnings of the names of the form's fields."""
CHECKS = 7
"""Dates of which the list shows how the scans differ from training."""


def read_waiting(session: Session) -> dict[str, Any]:
    """Return the template values of the list of pages that wait or were refused.

    `checks` has the last comparisons with the classifier's training.
    """
    from loan_scoring.monitoring.scans import LABELS, last_checks
    from loan_scoring.scans.corrections import refused_pages, waiting_pages

    return {
        "pages": waiting_pages(session),
        "refused": refused_pages(session),
        "checks": last_checks(session, CHECKS),
        "labels": LABELS,
        "cron": session.contract.schedules.scans,
    }


def read_scan(session: Session, scan_id: int) -> dict[str, Any]:
    """Return the template values of one scanned page, with a crop of each doubtful field.

    If the picture cannot be shown, `no_picture` says why.

    Raises:
        MissingError: there is no such page.
    """
    # Imported here because the module imports Arrow, which would slow the start of the API server.
    from loan_scoring.scans.corrections import crops_of_page, read_page

    scan = read_page(session, scan_id)
    columns = session.contract.by_name
    no_picture, crops = None, {}
    try:
        crops = crops_of_page(session, scan, scan["doubtful"])
    except LoanScoringError as error:
        no_picture = str(error)
    # In the order of the form; fields of columns that the contract no longer has come last.
    known = [name for name in columns if name in scan["fields"]]
    order = [*known, *(name for name in scan["fields"] if name not in known)]
    fields = [
        {
            "name": name,
            "label": columns[name].label if name in columns else name,
            "is_doubtful": name in scan["doubtful"],
            "levels": _levels(columns.get(name)),
            "words": [doubt_words(each) for each in scan["fields"][name]["doubts"]],
            "crop": _as_address(crops.get(name)),
        }
        | scan["fields"][name]
        for name in order
    ]
    return {"scan": scan, "fields": fields, "no_picture": no_picture}


def read_picture(session: Session, scan: dict[str, Any]) -> bytes:
    """Return the scanned page as JPEG.

    Raises:
        GoneError: the file is gone or has changed.
        SourceError: it cannot be read any more.
    """
    from loan_scoring.scans.corrections import page_picture
    from loan_scoring.scans.simulate import as_jpeg

    return as_jpeg(page_picture(session, scan))


def given_texts(
    scan: dict[str, Any], form: dict[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the texts that a person gives or confirms, and the texts that the person saw.

    A field that is not doubtful counts only if the person changed it.
    """
    texts, seen = {}, {}
    for name in scan["fields"]:
        if FIELD + name not in form or SEEN + name not in form:
            continue
        given, before = form[FIELD + name].strip(), form[SEEN + name]
        if name in scan["doubtful"] or given != before:
            texts[name], seen[name] = given, before
    return texts, seen


def _levels(column: Column | None) -> list[str]:
    return column.listed_levels if column is not None else []


def _as_address(png: bytes | None) -> str | None:
    return None if png is None else f"data:image/png;base64,{base64.b64encode(png).decode()}"
