"""Say which columns the file of a business date must have, and which columns a training reads."""

from datetime import date
from typing import TYPE_CHECKING

from loan_scoring.contract.business_dates import HISTORY

if TYPE_CHECKING:
    from loan_scoring.contract.columns import Column
    from loan_scoring.contract.contract import Contract


def may_lack(column: "Column", batch_id: str) -> bool:
    """Return whether the file of a batch may lack a column."""
    return column.may_lack(None if batch_id == HISTORY else date.fromisoformat(batch_id))


def allowed_by(contract: "Contract", missing: list[str]) -> list[str]:
    """Return the fields of the contract by which a file may lack these source columns."""
    lacking = [column for column in contract.columns if {*column.sources} & {*missing}]
    is_set = {
        "optional": any(column.optional for column in lacking),
        "since": any(column.since and not column.optional for column in lacking),
        "retired": any(column.retired and not column.optional for column in lacking),
    }
    return [field for field, is_one in is_set.items() if is_one]


def split_columns_of_file(contract: "Contract", batch_id: str) -> tuple[list[str], list[str]]:
    """Return the source columns that the file of a batch must have, and those it may lack.

    A file of `history` must also have the target.
    """
    wanted: list[str] = []
    optional: list[str] = []
    for column in contract.columns:
        (optional if may_lack(column, batch_id) else wanted).extend(column.sources)
    return [*wanted, *([contract.target.source] if batch_id == HISTORY else [])], optional
