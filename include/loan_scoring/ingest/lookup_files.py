"""Find the files of look-ups: at the URL of the contract, or in the landing folder."""

from pathlib import Path

from loan_scoring import settings
from loan_scoring.contract import Contract, Lookup
from loan_scoring.errors import ContractError, PassingSourceError
from loan_scoring.ingest.deliveries import ENDINGS, delivery_name
from loan_scoring.ingest.landing import whole_file


def landed_files(contract: Contract, lookup: Lookup) -> list[Path]:
    """Return the whole files in the landing folder of a look-up, sorted by name.

    Raises:
        PassingSourceError: a file is not whole yet.
        SourceError: a file is a link out of the landing folder.
    """
    folder = lookup_folder(contract, lookup)
    paths = sorted(path for path in folder.glob("*") if delivery_name(path.name))
    return [whole_file(contract, path) for path in paths]


def lookup_folder(contract: Contract, lookup: Lookup) -> Path:
    """Return the folder in which the files of a look-up land."""
    return settings.landing_dir(contract.portfolio) / "lookups" / lookup.name


def find_lookup(contract: Contract, name: str) -> Lookup:
    """Return the look-up with a name.

    Raises:
        ContractError: the contract has no such look-up.
    """
    found = next((each for each in contract.lookups if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in contract.lookups) or "none"
        raise ContractError(
            f"{contract.portfolio} declares no look-up '{name}'; under lookups it has: {known}"
        )
    return found


def lookup_sources(contract: Contract, name: str) -> list[str | Path]:
    """Return where the files of a look-up are: its URL in the contract, or what has landed.

    Raises:
        ContractError: the contract has no such look-up.
        PassingSourceError: nothing has landed, or a file is not whole yet.
    """
    lookup = find_lookup(contract, name)
    if lookup.source.url is not None:
        return [lookup.source.url]
    found = landed_files(contract, lookup)
    if not found:
        raise PassingSourceError(
            f"no file of look-up {name}: put one into {lookup_folder(contract, lookup)} (its name "
            f"ends in {ENDINGS}), or give --source"
        )
    return [*found]
