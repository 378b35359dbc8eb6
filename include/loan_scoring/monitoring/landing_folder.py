"""Compare the landing folder with the tables: dates without a file, and files that nobody took."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from loan_scoring import database, settings
from loan_scoring.contract import HISTORY, Contract
from loan_scoring.contract.business_dates import (
    deadline_after,
    due_dates,
    is_expected,
    read_date,
    run_time,
)
from loan_scoring.database.session import Session
from loan_scoring.ingest.deliveries import DONE, batch_name, is_empty_marker
from loan_scoring.ingest.landing import find_landed_files
from loan_scoring.ingest.outcome_files import PREFIX, outcome_file

MISSING, UNTAKEN, CHANGED = "missing", "untaken", "changed"
GRACE = timedelta(hours=6)
"""A file or a date is judged this long after it should have been taken, because runs take time."""
WINDOW = timedelta(days=31)
"""Dates further back are not looked for, and a portfolio without a night since is not in use."""


@dataclass(frozen=True)
class LandingFinding:
    """Something in which the landing folder and the tables differ.

    `subject` is the date or the file. `batch_id` is None if the name of the file names no date.
    """

    finding: str
    subject: str
    batch_id: str | None
    message: str


def compare_landing(session: Session, now: datetime | None = None) -> list[LandingFinding]:
    """Return in what the landing folder and the tables differ. Hashes are kept in `landing_files`.

    A finding that a person has closed, by closing an alert on it, is left out.
    """
    now = now or datetime.now(UTC)
    connection = session.connection
    batches = {row["batch_id"]: row for row in database.rows(connection, "select_landed_batches")}
    drops = {
        row["drop_id"].removeprefix(PREFIX): row
        for row in database.rows(connection, "select_landed_drops")
    }
    settled = {
        (row["finding"], row["subject"])
        for row in database.rows(connection, "select_settled_findings")
    }
    found = [
        *_missing(session.contract, batches, now),
        *_of_files(session, "applications", batches, now),
        *_of_files(session, "outcomes", drops, now),
    ]
    return [each for each in found if (each.finding, each.subject) not in settled]


def _missing(
    contract: Contract, batches: dict[str, database.Row], now: datetime
) -> Iterator[LandingFinding]:
    """Yield the dates that were due and have neither a batch nor a file."""
    nights = sorted(batch for batch in batches if batch != HISTORY)
    since = (now - WINDOW).date()
    if not nights or nights[-1] < since.isoformat():
        return
    # Old dates that somebody tried the portfolio with open no window of missing nights.
    first = next(night for night in nights if night >= since.isoformat())
    start = read_date(first) or since
    cron, timezone = contract.schedules.ingest, contract.schedules.timezone
    for day in due_dates(cron, timezone, start, now - GRACE):
        is_over = deadline_after(contract, run_time(cron, timezone, day)) <= now - GRACE
        name = day.isoformat()
        if name in batches or not is_expected(contract, day) or not is_over:
            continue
        if not find_landed_files(contract, "applications", name):
            yield LandingFinding(MISSING, name, name, f"no file of applications for {name}")


def _of_files(
    session: Session, kind: str, taken: dict[str, database.Row], now: datetime
) -> Iterator[LandingFinding]:
    """Yield the files of a folder that nobody took, or that changed after they were taken.

    A further file of a batch that was taken without the file was taken by nobody.
    """
    policy = session.contract.ingest
    is_several = kind == "applications" and policy.files != "one"
    folder = settings.landing_dir(session.contract.portfolio) / kind
    if not folder.is_dir():
        return
    hashes = {
        row["name"]: row
        for row in database.rows(session.connection, "select_landing_hashes")
        if row["kind"] == kind
    }
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file() or _is_companion(session, path):
            continue
        name = batch_name(policy, path.name, kind)
        is_outcomes = kind == "outcomes"
        key = outcome_file(path).drop_id.removeprefix(PREFIX) if is_outcomes else name
        if name is not None and key in taken:
            row = taken[key or name]
            if is_several and is_empty_marker(path):
                continue
            sha256 = _hash(session, kind, path, hashes.get(path.name))
            if sha256 in row["hashes"]:
                continue
            if is_several and path.name not in row["files"]:
                yield LandingFinding(
                    UNTAKEN, f"{kind}/{path.name}", name,
                    f"{kind}/{path.name} is not among the files that {name} was taken from",
                )  # fmt: skip
                continue
            yield LandingFinding(
                CHANGED, f"{kind}/{path.name} {sha256[:12]}", name,
                f"{kind}/{path.name} has other bytes than when it was taken",
            )  # fmt: skip
        elif datetime.fromtimestamp(path.stat().st_mtime, UTC) <= now - GRACE:
            day = read_date(name) if name else None
            if day is not None and kind == "applications" and not _is_over(session, day, now):
                continue
            why = "" if day else ", its name is no date with one of the endings"
            yield LandingFinding(
                UNTAKEN, f"{kind}/{path.name}", name if day else None, f"{kind}/{path.name}{why}"
            )


def _is_over(session: Session, day: date, now: datetime) -> bool:
    """Return whether the run that takes a date has ended, or should have."""
    schedules = session.contract.schedules
    due = run_time(schedules.ingest, schedules.timezone, day)
    return deadline_after(session.contract, due) <= now - GRACE


def _is_companion(session: Session, path: Path) -> bool:
    """Return whether a file only accompanies a delivery that lies beside it."""
    manifest = session.contract.ingest.manifest
    for ending in (DONE, *([manifest.ending] if manifest else ())):
        if path.name.endswith(ending):
            beside = path.with_name(path.name.removesuffix(ending))
            return beside.exists() or bool(manifest and ending == manifest.ending)
    return False


def _hash(session: Session, kind: str, path: Path, known: database.Row | None) -> str:
    stat = path.stat()
    if known and (known["bytes"], known["modified_ns"]) == (stat.st_size, stat.st_mtime_ns):
        return str(known["sha256"])
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    database.execute(
        session.connection,
        "upsert_landing_hash",
        kind=kind,
        file=path.name,
        bytes=stat.st_size,
        modified_ns=stat.st_mtime_ns,
        sha256=sha256,
    )
    return sha256
