"""Find the files in the landing folder, and return their labels for table `batches`."""

from pathlib import Path

from loan_scoring import settings
from loan_scoring.database.partitions import refuse_dropped
from loan_scoring.database.session import Session
from loan_scoring.errors import PassingSourceError, SourceError
from loan_scoring.ingest.files.locations import is_synthetic, location_label


def source_label(location: str | Path) -> str:
    """Return a location as column `source` of table `batches` shows it.

    User, password and query of a URL are left out. The label of a file of synthetic rows begins
    with `synthetic: `.
    """
    label = location_label(location)
    return f"synthetic: {label}" if is_synthetic(location) else label


def find_applications_file(session: Session, batch_id: str) -> Path:
    """Return the path of the file of applications in the landing folder for a batch.

    Raises:
        GoneError: retention has dropped the batch.
        PassingSourceError: there is no such file yet.
        SourceError: there is more than one file.
    """
    refuse_dropped(session.connection, batch_id)
    return find_landed_file(session.contract.portfolio, "applications", batch_id)


def find_landed_files(portfolio: str, kind: str, name: str) -> list[Path]:
    """Return the files called `name` in the landing folder, with any suffix except `.part`, sorted.

    Args:
        portfolio: name of the portfolio.
        kind: `applications` or `outcomes`.
        name: file name without suffixes, such as a batch_id.
    """
    folder = settings.landing_dir(portfolio) / kind
    return sorted(path for path in folder.glob(f"{name}.*") if not path.name.endswith(".part"))


def find_landed_file(portfolio: str, kind: str, name: str) -> Path:
    """Return the path of the only file called `name` in the landing folder.

    Args:
        portfolio: name of the portfolio.
        kind: `applications` or `outcomes`.
        name: file name without suffixes, such as a batch_id.

    Raises:
        PassingSourceError: there is no such file yet.
        SourceError: there is more than one file.
    """
    folder = settings.landing_dir(portfolio) / kind
    found = find_landed_files(portfolio, kind, name)
    if not found:
        raise PassingSourceError(
            f"no file of {kind} for {name}: put {name}.csv (or .csv.gz, .zip, .parquet) "
            f"into {folder}, then clear the task"
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise SourceError(f"{folder} holds {len(found)} files for {name} ({names}); leave one")
    return found[0]
