"""Derive from the name of an outcomes file which file it is, and whether it is a correction."""

from dataclasses import dataclass
from pathlib import Path

from loan_scoring.contract import Contract
from loan_scoring.errors import SourceError
from loan_scoring.ingest.deliveries import is_empty_marker
from loan_scoring.ingest.files.locations import location_label
from loan_scoring.ingest.landing import find_landed_files, whole_file
from loan_scoring.ingest.manifests import read_manifest

CORRECTION = "correction"
"""The part of a file's name that declares a correction, as in `2026-01-20.correction.csv`."""

ENDINGS = ("csv", "gz", "parquet", "synthetic", "tsv", "txt", "xlsx", "zip", CORRECTION)
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


def find_outcome_files(contract: Contract, day: str) -> list[Path]:
    """Return the outcomes file of a date in the landing folder, then its correction file.

    The list is empty if neither has landed. A file that declares the date empty is left out.

    Raises:
        PassingSourceError: a file is not whole yet.
        SourceError: there are several files of one of the two kinds, or a file is a link out of the
            landing folder.
    """
    found = find_landed_files(contract, "outcomes", day)
    corrections = [path for path in found if outcome_file(path).is_correction]
    plain = [path for path in found if path not in corrections]
    for files in (plain, corrections):
        if len(files) > 1:
            names = ", ".join(path.name for path in files)
            raise SourceError(f"{files[0].parent} holds {names}; leave one of them")
    whole = [whole_file(contract, path) for path in (*plain, *corrections)]
    return [path for path in whole if not _is_empty(contract, path)]


def _is_empty(contract: Contract, path: Path) -> bool:
    manifest = read_manifest(contract, path, with_totals=False)
    return is_empty_marker(path) or (manifest is not None and manifest.rows == 0)
