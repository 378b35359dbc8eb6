"""Find the files in the landing folder, and return their labels for table `batches`."""

from pathlib import Path

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring.database.partitions import refuse_dropped
from loan_scoring.database.session import Session
from loan_scoring.errors import PassingSourceError, SourceError
from loan_scoring.ingest.deliveries import (
    ENDINGS,
    delivery_name,
    refuse_outside,
    why_not_whole,
)
from loan_scoring.ingest.files.locations import is_synthetic, location_label
from loan_scoring.ingest.manifests import read_manifest


def source_label(location: str | Path) -> str:
    """Return the text that column `source` of table `batches` holds for a location.

    User, password and query of a URL are left out. The label of a file of synthetic rows begins
    with `synthetic: `.
    """
    label = location_label(location)
    return f"synthetic: {label}" if is_synthetic(location) else label


def find_applications_file(session: Session, batch_id: str) -> Path:
    """Return the path of the file of applications in the landing folder for a batch.

    Raises:
        GoneError: retention has dropped the batch.
        PassingSourceError: there is no such file yet, or it is not whole yet.
        SourceError: there is more than one file, or the file is a link out of the folder.
    """
    refuse_dropped(session.connection, batch_id)
    return find_landed_file(session.contract, "applications", batch_id)


def find_landed_files(contract: Contract, kind: str, name: str) -> list[Path]:
    """Return the deliveries called `name` in the landing folder, sorted.

    Where the contract declares manifests, a manifest of 0 rows without a file is a delivery too.

    Args:
        contract: contract of the portfolio.
        kind: `applications` or `outcomes`.
        name: file name without its ending, such as a batch_id.
    """
    folder = settings.landing_dir(contract.portfolio) / kind
    beside = sorted(folder.glob(f"{name}.*"))
    found = [path for path in beside if delivery_name(path.name, kind) == name]
    if not found and contract.ingest.manifest is not None:
        ending = contract.ingest.manifest.ending
        manifests = [path for path in beside if path.name.endswith(ending)]
        read = [(path, read_manifest(contract, path)) for path in manifests]
        found = [path for path, manifest in read if manifest is not None and manifest.rows == 0]
    return found


def find_landed_file(contract: Contract, kind: str, name: str) -> Path:
    """Return the path of the only delivery called `name` in the landing folder.

    Args:
        contract: contract of the portfolio.
        kind: `applications` or `outcomes`.
        name: file name without its ending, such as a batch_id.

    Raises:
        PassingSourceError: there is no such file yet, or it is not whole yet.
        SourceError: there is more than one file, or the file is a link out of the folder.
    """
    folder = settings.landing_dir(contract.portfolio) / kind
    found = find_landed_files(contract, kind, name)
    if not found:
        others = sorted(path.name for path in folder.glob(f"{name}.*"))
        hint = f" ({', '.join(others)} is not taken: a file ends in {ENDINGS})" if others else ""
        raise PassingSourceError(
            f"no file of {kind} for {name}{hint}: put {name}.csv (or .csv.gz, .zip, .parquet) "
            f"into {folder}, then clear the task"
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise SourceError(f"{folder} holds {len(found)} files for {name} ({names}); leave one")
    return whole_file(contract, found[0])


def whole_file(contract: Contract, path: Path) -> Path:
    """Return the path of a delivery unchanged if the delivery may be taken now.

    Raises:
        PassingSourceError: the file is not whole yet.
        SourceError: the file is a link out of the landing folder.
    """
    refuse_outside(path, settings.landing_dir(contract.portfolio))
    why = why_not_whole(contract.ingest, path)
    if why is not None:
        raise PassingSourceError(f"{why}; run again, or clear the task")
    return path


def is_landed(contract: Contract, name: str) -> bool:
    """Return whether to stop waiting for the file of applications for a date.

    This is so if the file is whole, and also if it can never be taken as it lies there.
    """
    try:
        find_landed_file(contract, "applications", name)
    except PassingSourceError:
        return False
    except SourceError:
        return True
    return True
