"""Find the files in the landing folder, and return their labels for table `batches`."""

from pathlib import Path

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring.database.partitions import refuse_dropped
from loan_scoring.database.session import Session
from loan_scoring.errors import PassingSourceError, SourceError
from loan_scoring.ingest.deliveries import (
    ENDINGS,
    batch_and_part,
    batch_name,
    is_empty_marker,
    refuse_outside,
    why_not_whole,
)
from loan_scoring.ingest.files.locations import Location, is_synthetic, location_label
from loan_scoring.ingest.manifests import read_manifest


def source_label(location: Location) -> str:
    """Return the text that column `source` of table `batches` holds for a location.

    User, password and query of a URL are left out. The label of a file of synthetic rows begins
    with `synthetic: `.
    """
    label = location_label(location)
    return f"synthetic: {label}" if is_synthetic(location) else label


def find_applications_file(session: Session, batch_id: str) -> Location:
    """Return the path of the file of applications in the landing folder for a batch.

    If the contract declares several files for a batch, return the paths of its files.

    Raises:
        GoneError: retention has dropped the batch.
        PassingSourceError: there is no such file yet, or a file is not whole yet.
        SourceError: there are files that the contract does not expect, or a file is a link out of
            the folder.
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
    policy, folder = contract.ingest, settings.landing_dir(contract.portfolio) / kind
    beside = sorted(folder.glob(f"{name}*"))
    found = [path for path in beside if batch_name(policy, path.name, kind) == name]
    if policy.manifest is not None and (not found or policy.files != "one"):
        ending = policy.manifest.ending
        for path in beside:
            own = path.name.removesuffix(ending)
            if own == path.name or path.with_name(own) in found:
                continue
            if own == name or batch_name(policy, own, kind) == name:
                manifest = read_manifest(contract, path)
                found += [path] if manifest is not None and manifest.rows == 0 else []
    return sorted(found)


def find_landed_file(contract: Contract, kind: str, name: str) -> Location:
    """Return the path of the only delivery called `name` in the landing folder.

    If the contract declares several files for a batch of applications, return their paths.

    Args:
        contract: contract of the portfolio.
        kind: `applications` or `outcomes`.
        name: file name without its ending, such as a batch_id.

    Raises:
        PassingSourceError: there is no such file yet, or a file is not whole yet.
        SourceError: there are files that the contract does not expect, or a file is a link out of
            the folder.
    """
    folder = settings.landing_dir(contract.portfolio) / kind
    found = find_landed_files(contract, kind, name)
    if not found:
        others = sorted(path.name for path in folder.glob(f"{name}[._-]*"))
        several = any(batch_and_part(other) for other in others) and kind == "applications"
        more = "; several files of a night need ingest.files: several" * several
        hint = f" ({', '.join(others)} is not taken: a file ends in {ENDINGS}{more})" * bool(others)
        raise PassingSourceError(
            f"no file of {kind} for {name}{hint}: put {name}.csv (or .csv.gz, .zip, .parquet) "
            f"into {folder}, then ingest again (in Airflow: clear the task)"
        )
    if kind == "applications" and contract.ingest.files != "one":
        _refuse_incomplete(contract, folder, name, found)
        return tuple(whole_file(contract, path) for path in found)
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise SourceError(f"{folder} holds {len(found)} files for {name} ({names}); leave one")
    return whole_file(contract, found[0])


def _refuse_incomplete(contract: Contract, folder: Path, name: str, found: list[Path]) -> None:
    """Refuse the files of a batch if they are not the ones that the contract declares.

    Raises:
        PassingSourceError: a declared file has not landed yet.
        SourceError: a file is not declared, a file has landed twice, or the whole batch is declared
            empty and has files.
    """
    manifest, declared = contract.ingest.manifest, contract.ingest.files
    parts: dict[str, str] = {}
    for path in found:
        own = path.name.removesuffix(manifest.ending) if manifest else path.name
        part = (batch_and_part(own) or (name, ""))[1]
        if part in parts:
            raise SourceError(
                f"{folder} holds {parts[part]} and {path.name}, the same part of {name}; leave one"
            )
        parts[part] = path.name
    is_whole_empty = is_empty_marker(Path(parts.get("", "")))
    if is_whole_empty and len(parts) == 1:
        return
    if is_whole_empty:
        raise SourceError(
            f"{folder} holds {parts['']}, so that {name} is empty, and also "
            f"{', '.join(file for part, file in parts.items() if part)}; remove one or the other"
        )
    if not isinstance(declared, list):
        return
    missing = [part for part in declared if part not in parts]
    extra = [file for part, file in parts.items() if part not in declared]
    if extra:
        raise SourceError(
            f"{folder} holds {', '.join(extra)}, which ingest.files ({', '.join(declared)}) does "
            "not name; remove it, or name it in the contract"
        )
    if missing:
        raise PassingSourceError(
            f"no file {', '.join(missing)} of applications for {name}: put {name}-{missing[0]}.csv "
            f"into {folder}, then ingest again (in Airflow: clear the task)"
        )


def whole_file(contract: Contract, path: Path) -> Path:
    """Return the path of a delivery unchanged if the delivery may be taken now.

    Raises:
        PassingSourceError: the file is not whole yet.
        SourceError: the file is a link out of the landing folder.
    """
    refuse_outside(path, settings.landing_dir(contract.portfolio))
    why = why_not_whole(contract.ingest, path)
    if why is not None:
        raise PassingSourceError(f"{why}; ingest again later (in Airflow: clear the task)")
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
