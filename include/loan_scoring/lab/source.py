"""Find the labelled file that replay, benchmarks, calibration and drift demonstrations read."""

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring.errors import SourceError
from loan_scoring.ingest.files.fetching import check_location


def resolve_source(contract: Contract, explicit: str | None) -> str | None:
    """Return the file or URL of a portfolio's labelled loans.

    The search order is `explicit`, LOAN_SCORING_SOURCE, the file <portfolio>.csv, .csv.gz or
    .csv.zip in `settings.data_dir()`, and last the contract's URL.

    Return None if there is no such file, and the contract has no URL or the URL cannot be read.

    Raises:
        SourceError: `explicit` or LOAN_SCORING_SOURCE is set and cannot be read.
    """
    chosen = explicit or settings.source()
    if chosen:
        check_location(chosen)
        return chosen
    for suffix in (".csv", ".csv.gz", ".csv.zip"):
        path = settings.data_dir() / f"{contract.portfolio}{suffix}"
        if path.exists():
            return str(path)
    try:
        if contract.source.url:
            check_location(contract.source.url)
    except SourceError:
        return None
    return contract.source.url
