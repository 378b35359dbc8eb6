"""Derive from the name of an outcomes file which file it is, and whether it is a correction."""

from dataclasses import dataclass
from pathlib import Path

from loan_scoring.ingest.files.locations import location_label

CORRECTION = "correction"
"""The part of a file's name that declares a correction, as in `2026-01-20.correction.csv`."""

ENDINGS = ("csv", "gz", "parquet", "synthetic", "tsv", "txt", "zip", CORRECTION)
"""The endings that do not belong to the name of an outcomes file."""

PREFIX = "outcomes-"


@dataclass(frozen=True)
class OutcomeFile:
    """The identity of an outcomes file: its drop_id, and whether the file is a correction.

    Two files with the same drop_id are revisions of one file. A correction has a drop_id of its
    own, so that it is no revision of the file that it corrects.
    """

    drop_id: str
    is_correction: bool


def outcome_file(location: str | Path, is_correction: bool = False) -> OutcomeFile:
    """Return the identity of an outcomes file.

    Args:
        location: path or URL of the file.
        is_correction: whether a person declares a correction. A file is also a correction if its
            name has the ending `.correction` before the endings of its format.

    >>> outcome_file("landing/2026-01-08.csv.gz")
    OutcomeFile(drop_id='outcomes-2026-01-08', is_correction=False)
    >>> outcome_file("2026-01-20.correction.csv")
    OutcomeFile(drop_id='outcomes-2026-01-20.correction', is_correction=True)
    """
    name = Path(location_label(location)).name
    while True:
        stem, _, ending = name.rpartition(".")
        if not stem or ending.lower() not in ENDINGS:
            break
        is_correction = is_correction or ending.lower() == CORRECTION
        name = stem
    return OutcomeFile(f"{PREFIX}{name}{f'.{CORRECTION}' * is_correction}", is_correction)
