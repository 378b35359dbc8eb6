"""Say which files in the landing folder are deliveries, and whether a delivery is whole."""

import re
import time
from pathlib import Path

from loan_scoring.contract import IngestPolicy
from loan_scoring.errors import SourceError

DONE = ".done"
"""A file `NAME.csv.done` says that the upload of `NAME.csv` has ended."""
EMPTY = ".empty"
"""A file `DATE.EMPTY` declares that a date has no applications, or no outcomes."""
ENDINGS = ".csv, .txt or .tsv (also with .gz or .zip), .gz, .zip, .parquet, .xlsx, .EMPTY"

_DELIVERY = re.compile(
    r"(?P<name>[^.]+)(?:\.(?P<part>[A-Za-z0-9_-]+?))??"
    r"(?:(?P<correction>\.correction)?(?:\.synthetic)?"
    r"(?:\.(?:csv|txt|tsv)(?:\.gz|\.zip)?|\.gz|\.zip|\.parquet|\.xlsx)|\.empty)",
    re.IGNORECASE,
)
_PART = re.compile(
    r"(?P<batch>[0-9]{4}-[0-9]{2}-[0-9]{2}|history)(?:[-_](?P<part>[A-Za-z0-9_-]+))?"
)


def delivery_name(file_name: str, kind: str = "applications") -> str | None:
    """Return the part of a file name before its ending. Return None for any other ending.

    Other endings belong to uploads in progress, copies and checksums, and are never taken. Only a
    file of the kind `outcomes` may be a correction, as in `2026-02-05.correction.csv`.

    >>> delivery_name("2026-02-05.csv.gz"), delivery_name("2026-02-05.csv.filepart")
    ('2026-02-05', None)
    """
    match = _DELIVERY.fullmatch(file_name)
    if match is None or match["part"] or (match["correction"] and kind != "outcomes"):
        return None
    return match["name"]


def batch_and_part(file_name: str) -> tuple[str, str] | None:
    """Return the batch_id and the name of the part that a file of several has in its name.

    The part is empty if the name is that of the whole batch. Return None for any other name.

    >>> batch_and_part("2026-03-01.part-1.csv"), batch_and_part("2026-03-01-north.csv.gz")
    (('2026-03-01', 'part-1'), ('2026-03-01', 'north'))
    """
    match = _DELIVERY.fullmatch(file_name)
    name = _PART.fullmatch(match["name"]) if match else None
    if match is None or name is None or match["correction"] or (match["part"] and name["part"]):
        return None
    return name["batch"], match["part"] or name["part"] or ""


def batch_name(policy: IngestPolicy, file_name: str, kind: str) -> str | None:
    """Return the name of the batch, or of the file of outcomes, to which a landed file belongs.

    Return None for a file that is never taken. Only applications may come in several files.
    """
    if kind != "applications" or policy.files == "one":
        return delivery_name(file_name, kind)
    found = batch_and_part(file_name)
    return found[0] if found else None


def is_empty_marker(path: Path) -> bool:
    """Return whether a file declares by its name that its date is empty."""
    return path.name.lower().endswith(EMPTY)


def refuse_outside(path: Path, landing: Path) -> None:
    """Refuse a file that leads out of the landing folder.

    Raises:
        SourceError: the path, or a folder of it, is a symbolic link to another place.
    """
    if not path.resolve().is_relative_to(landing.resolve()):
        raise SourceError(
            f"{path}: this is a link out of the landing folder, to {path.resolve()}; "
            "put the file itself there"
        )


def why_not_whole(policy: IngestPolicy, path: Path) -> str | None:
    """Return why a delivery cannot be taken yet, or None if it is whole.

    A delivery is whole when its manifest is there, if the contract declares one. Otherwise it is
    whole when its `.done` file is there, or when it has not changed for `settled_seconds`. A marker
    of an empty date has no content and is always whole.
    """
    if is_empty_marker(path):
        return None
    if policy.manifest is not None:
        manifest = path.with_name(path.name + policy.manifest.ending)
        is_there = manifest.is_file() or path.name.endswith(policy.manifest.ending)
        return None if is_there else f"{path}: its manifest {manifest.name} has not landed yet"
    if path.with_name(path.name + DONE).is_file():
        return None
    left = seconds_to_settle(policy, path)
    if left <= 0:
        return None
    return (
        f"{path}: this file changed less than {policy.settled_seconds} s ago and may not be whole; "
        f"it is taken {left:.0f} s from now, or when {path.name}{DONE} lies beside it"
    )


def seconds_to_settle(policy: IngestPolicy, path: Path) -> float:
    """Return how many seconds a file must stay unchanged until it counts as settled."""
    stat, now = path.stat(), time.time()
    # A file system with another clock may give a time to come; then the time of the change counts.
    changed = stat.st_mtime if stat.st_mtime <= now else min(stat.st_ctime, now)
    return policy.settled_seconds - (now - changed)
