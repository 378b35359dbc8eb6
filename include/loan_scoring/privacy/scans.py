"""Find the scanned pages of a loan: their files, and what persons corrected on them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loan_scoring import database, settings
from loan_scoring.database.session import Session


def scanned_files(session: Session, key: Any) -> Iterator[tuple[Path, list[int]]]:
    """Yield each file with a scanned page of a loan, and the numbers of these pages."""
    with database.snapshot(session.connection):
        rows = database.rows(session.connection, "select_scans_of_loan", loan_id=key)
    folder = settings.landing_dir(session.contract.portfolio) / "scans"
    for row in rows:
        path = folder / row["batch_id"] / row["file_name"]
        if path.is_file() and not path.is_symlink():
            yield path, row["pages"]


def scan_corrections(session: Session, key: Any) -> list[database.Row]:
    """Return what persons corrected on the scanned pages of a loan, in an open transaction."""
    return database.rows(session.connection, "select_scan_corrections_of_loan", loan_id=key)
