"""Show the pages that wait for a person, and record what the person makes of doubtful fields."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import psycopg2
from psycopg2.extras import Json

from loan_scoring import database
from loan_scoring.database.files import file_sha256
from loan_scoring.database.session import Session
from loan_scoring.errors import GoneError, MissingError, SourceError, StateError
from loan_scoring.scans.degrade import Image
from loan_scoring.scans.fields import broken_rules
from loan_scoring.scans.layout import form_layout
from loan_scoring.scans.pages import page_images, read_bytes
from loan_scoring.scans.recognise import crop_box
from loan_scoring.scans.records import scans_folder
from loan_scoring.scans.simulate import as_png
from loan_scoring.scans.straighten import straighten

MARGIN_MM = 4.5
"""Margin of a shown crop: the label above the box is in it."""


def waiting_pages(session: Session) -> list[database.Row]:
    """Return the pages that wait for a person, the oldest first."""
    with database.transaction(session.connection):
        return database.rows(session.connection, "select_waiting_scans", state="waiting")


def refused_pages(session: Session) -> list[database.Row]:
    """Return the refused pages, or files (page 0), that still lie in the folder, the oldest first.

    A clerk scans them again, or removes what is no form.
    """
    with database.transaction(session.connection):
        rows = database.rows(session.connection, "select_waiting_scans", state="refused")
    portfolio = session.contract.portfolio
    return [
        row
        for row in rows
        if (scans_folder(portfolio, row["batch_id"]) / row["file_name"]).exists()
    ]


def read_page(session: Session, scan_id: int) -> database.Row:
    """Return a page with its fields, and its corrections under `corrections`.

    Raises:
        MissingError: there is no such page.
    """
    with database.transaction(session.connection):
        found = database.row(session.connection, "select_scan", scan_id=scan_id)
        if found is None:
            raise MissingError(
                f"there is no scan {scan_id} of {session.contract.portfolio}; it may be erased"
            )
        made = database.rows(session.connection, "select_scan_corrections", scan_id=scan_id)
    return found | {"corrections": made}


def correct_page(
    session: Session, scan_id: int, texts: Mapping[str, str], seen: Mapping[str, str], by: str
) -> database.Row:
    """Record the texts that a person gives or confirms, and return state and open columns.

    The application must keep the contract's row rules once no field is open any more.

    Args:
        session: database session of the application role.
        scan_id: the page.
        texts: text of each field that the person looked at, by column.
        seen: text of each of these fields that the person saw.
        by: the person, as `airflow:NAME` or `cli:NAME`.

    Raises:
        MissingError: there is no such page.
        StateError: a text breaks a rule, the page does not wait, or it was corrected meanwhile.
    """
    page = read_page(session, scan_id)
    unknown = [name for name in texts if name not in page["fields"]]
    if unknown:
        raise StateError(f"scan {scan_id} has no field {unknown[0]}; open the page again")
    texts = {name: text.strip() for name, text in texts.items()}
    after = {name: each["text"] for name, each in page["fields"].items()} | texts
    broken, key = broken_rules(session.contract, after)
    left = [name for name in page["doubtful"] if name not in texts]
    # While fields are open, only what the person gave is judged: a ratio may still be broken.
    judged = {
        name: rules
        for name, rules in broken.items()
        if not left or (name in texts and any(not _is_ratio(session, rule) for rule in rules))
    }
    if judged:
        name, rules = next(iter(judged.items()))
        label = session.contract.by_name[name].label
        rule = rules[0].removeprefix("row_rule:")
        raise StateError(
            f"scan {scan_id}: {label} breaks the rule {rule}; correct it, or take the page out of "
            "the folder if the form itself is wrong"
        )
    with _correcting(session):
        row = database.row(
            session.connection,
            "correct_scan",
            scan_id=scan_id,
            texts=Json(texts),
            seen=Json(dict(seen)),
            loan_id=key,
            by=by,
        )
    assert row is not None  # noqa: S101 - the function always gives one row
    return row


def _is_ratio(session: Session, rule: str) -> bool:
    return rule.removeprefix("row_rule:") in {each.name for each in session.contract.ratios}


@contextmanager
def _correcting(session: Session) -> Iterator[None]:
    try:
        with database.transaction(session.connection):
            yield
    except psycopg2.errors.CheckViolation as error:
        raise StateError((error.diag.message_primary or str(error)).strip()) from None


def scan_path(session: Session, page: database.Row) -> Path:
    """Return the file of a page.

    Raises:
        GoneError: the file is gone or has changed.
    """
    path: Path = scans_folder(session.contract.portfolio, page["batch_id"]) / page["file_name"]
    if not path.is_file() or path.is_symlink() or file_sha256(path) != page["sha256"]:
        raise GoneError(
            f"the picture of scan {page['scan_id']} is gone: {page['file_name']} was removed or "
            "replaced"
        )
    return path


def page_picture(session: Session, page: database.Row) -> Image:
    """Return a scanned page as it lies in its file.

    Raises:
        GoneError: the file is gone or has changed.
        SourceError: the page cannot be read any more.
        StateError: a package of the extra is missing.
    """
    path, number = scan_path(session, page), page["page"]
    found = list(islice(page_images(path, read_bytes(path), range(1, number)), number))
    if not 0 < number == len(found):
        raise GoneError(f"{page['file_name']} has no page {number} that can be shown")
    if isinstance(found[-1], SourceError):
        raise found[-1]
    return found[-1]


def crops_of_page(session: Session, page: database.Row, columns: Sequence[str]) -> dict[str, bytes]:
    """Return the parts of the scanned page with some fields and their labels, as PNG by column.

    Raises:
        GoneError: the file is gone or has changed, or the form is another one now.
        SourceError: the file cannot be read any more.
        StateError: a package of the extra is missing.
    """
    if not columns:
        return {}
    layout = form_layout(session.contract)
    if page["form_code"] != layout.code:
        raise GoneError(f"scan {page['scan_id']} was read by another form ({page['form_code']})")
    image = page_picture(session, page)
    straight = straighten(image, layout, f"{page['file_name']} page {page['page']}")
    return {
        box.column.name: as_png(crop_box(straight.image, box, MARGIN_MM))
        for box in layout.boxes
        if box.column.name in columns
    }
