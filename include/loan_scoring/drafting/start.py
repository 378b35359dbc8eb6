"""Write a new contract, drafted from a file, into the folder of contracts."""

from dataclasses import dataclass
from pathlib import Path

from loan_scoring import contract, settings
from loan_scoring.contract.portfolio_names import check_portfolio_name
from loan_scoring.drafting.draft import draft_contract
from loan_scoring.drafting.schema import schema_text
from loan_scoring.drafting.writing import SCHEMA_FILE, TODO, write_yaml
from loan_scoring.errors import ContractError


@dataclass(frozen=True)
class Started:
    """A contract that was drafted from `columns` columns, and how much a person must answer."""

    path: Path
    rows: int
    columns: int
    todos: int


def start_contract(
    location: str, portfolio: str, key: str | None = None, target: str | None = None
) -> Started:
    """Draft a contract from a labelled file, and write it and the JSON Schema beside it.

    Args:
        location: file or URL.
        portfolio: name of the new portfolio.
        key: as for `draft_contract`.
        target: as for `draft_contract`.

    Raises:
        ContractError: the name is not valid, or the portfolio has a contract already.
        SourceError: the file cannot be read, or lacks the named columns.
    """
    try:
        check_portfolio_name(portfolio)
    except ValueError as error:
        raise ContractError(f"--portfolio: {error}") from None
    path = settings.portfolios_dir() / f"{portfolio}.yaml"
    there = ContractError(f"{path} is there already; it is left as it is. Choose another name")
    if path.exists():
        raise there
    draft = draft_contract(location, portfolio, key, target)
    text = write_yaml(draft)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        path.with_name(SCHEMA_FILE).write_text(schema_text(), encoding="utf-8")
    except FileExistsError:
        raise there from None
    except OSError as error:
        raise ContractError(f"{error.filename}: cannot be written: {error.strerror}") from error
    contract.read(path)
    return Started(
        path,
        draft.file.rows,
        len(draft.file.columns) + len(draft.file.unnamed),
        text.count(f"{TODO} "),
    )
