"""Find landed files, and name them as the table batches shows them."""

from pathlib import Path

from loan_scoring import settings
from loan_scoring.database.partitions import refuse_dropped
from loan_scoring.database.session import Session
from loan_scoring.errors import PassingSourceError, SourceError
from loan_scoring.ingest.files.locations import is_synthetic, location_label


def source_label(location: str | Path) -> str:
    """Return the label of a location; that of generated rows begins with `synthetic: `."""
    label = location_label(location)
    return f"synthetic: {label}" if is_synthetic(location) else label


def landed_file(session: Session, batch_id: str) -> Path:
    """Return the one file of applications that landed as a batch.

    Raises:
        GoneError: retention has dropped the batch.
        PassingSourceError, SourceError: as in `landing_file`.
    """
    refuse_dropped(session.connection, batch_id)
    return landing_file(session.contract.portfolio, "applications", batch_id)


def landing_files(portfolio: str, kind: str, name: str) -> list[Path]:
    """Return the files that landed as `name` in applications/ or outcomes/, sorted."""
    folder = settings.landing_dir(portfolio) / kind
    return sorted(path for path in folder.glob(f"{name}.*") if not path.name.endswith(".part"))


def landing_file(portfolio: str, kind: str, name: str) -> Path:
    """Return the one file that landed as `name` in applications/ or outcomes/.

    Raises:
        PassingSourceError: there is no such file yet.
        SourceError: there is more than one.
    """
    folder = settings.landing_dir(portfolio) / kind
    found = landing_files(portfolio, kind, name)
    if not found:
        raise PassingSourceError(
            f"no file of {kind} for {name}: put {name}.csv (or .csv.gz, .zip, .parquet) "
            f"into {folder}, then clear the task"
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise SourceError(f"{folder} holds {len(found)} files for {name} ({names}); leave one")
    return found[0]
