"""Find the labelled file that replay, bench, calibrate and demo read."""

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring.errors import SourceError
from loan_scoring.ingest.files.fetching import check_location


def resolve_source(contract: Contract, explicit: str | None) -> str | None:
    """Return the labelled source of a portfolio, or None if none can be read.

    The first of: `explicit`, LOAN_SCORING_SOURCE, data/<portfolio>.csv (.gz, .zip), the URL of the
    contract if it answers.

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
