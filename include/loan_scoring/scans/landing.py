"""Write the certain and the corrected pages of a date as the file that the ingest takes."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime

import pyarrow as pa

from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.contract.business_dates import run_time
from loan_scoring.database.files import file_sha256, write_whole
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError
from loan_scoring.ingest.deliveries import DONE
from loan_scoring.ingest.files.csv_writing import csv_bytes
from loan_scoring.ingest.landing import find_landed_files

PART = "scans"


def land_pages(session: Session, batch_id: str, by: str) -> tuple[str, int] | None:
    """Write the file of a batch, and return its name and its rows.

    A file with the same content stays as it is. Return None if no page is certain or corrected.
    The file is recorded before it is written, so that a killed process can write it again.

    Raises:
        SourceError: another delivery of the date lies there, and the contract takes only one.
    """
    contract = session.contract
    with database.transaction(session.connection):
        database.lock(session.connection, f"scans:{batch_id}")
        found = database.rows(session.connection, "select_scans", batch_id=batch_id)
        pages = [row for row in found if row["state"] in ("passed", "corrected")]
        if not pages:
            return None
        content = _content(contract, pages)
        sha256 = hashlib.sha256(content).hexdigest()
        folder = settings.landing_dir(contract.portfolio) / "applications"
        name = _file_name(contract, batch_id)
        path = folder / name
        written = database.rows(session.connection, "select_scan_deliveries", batch_id=batch_id)
        if contract.ingest.files == "one":
            ours = {row["sha256"] for row in written}
            for other in find_landed_files(contract, "applications", batch_id):
                if other.name != name or file_sha256(other) not in ours:
                    raise SourceError(
                        f"{other}: this delivery of {batch_id} is not made of scans, and the "
                        "contract takes one file; declare `ingest: {files: several}`"
                    )
        if path.exists() and file_sha256(path) == sha256:
            path.with_name(name + DONE).touch()
            return name, len(pages)
        database.execute(
            session.connection,
            "insert_scan_delivery",
            batch_id=batch_id,
            file_name=name,
            sha256=sha256,
            rows=len(pages),
            landed_by=by,
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    path.with_name(name + DONE).touch()
    return name, len(pages)


def _file_name(contract: Contract, batch_id: str) -> str:
    return f"{batch_id}.csv" if contract.ingest.files == "one" else f"{batch_id}-{PART}.csv"


def _content(contract: Contract, pages: Sequence[database.Row]) -> bytes:
    """Return the pages as CSV in the format of the contract. Columns not on the form are empty."""
    names = {source: column.name for column in contract.columns for source in column.sources}
    table = pa.table(
        {
            source: pa.array(
                [row["fields"].get(name, {}).get("text", "") for row in pages], pa.string()
            )
            for source, name in names.items()
        }
    )
    return csv_bytes(table, contract.source)


def files_to_ingest(
    session: Session, batch_ids: Sequence[str], now: datetime | None = None
) -> list[database.Row]:
    """Return the files that were written after their date was taken, with `batch_id` and `sha256`.

    A date is taken by the schedule of `ingest`. What is new before that needs no run of its own.

    Args:
        session: database session.
        batch_ids: dates to look at.
        now: time by which dates are over. None means the clock.
    """
    schedules, at = session.contract.schedules, now or datetime.now(UTC)
    with database.transaction(session.connection):
        rows = database.rows(
            session.connection, "select_scans_to_ingest", batch_ids=list(batch_ids)
        )
    return [
        row
        for row in rows
        if run_time(schedules.ingest, schedules.timezone, date.fromisoformat(row["batch_id"])) <= at
    ]
