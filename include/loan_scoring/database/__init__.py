"""Connect to a portfolio's schema in Postgres, run queries and transactions, and COPY rows.

This package exports the functions that most callers need, so that a call reads
`database.rows(...)`. Import all other functions from the module that defines them.
"""

from loan_scoring.database.connection import (
    APPLICATION,
    MLFLOW,
    OWNER,
    READER,
    connect,
    connect_beside,
    libpq_environment,
    libpq_parameters,
    libpq_url,
    location,
    without_password,
)
from loan_scoring.database.copying import as_csv, copy_csv, copy_in, copy_out
from loan_scoring.database.queries import (
    Row,
    execute,
    lock,
    row,
    rows,
    select_read_only,
    snapshot,
    statement,
    transaction,
)

__all__ = [
    "APPLICATION",
    "MLFLOW",
    "OWNER",
    "READER",
    "Row",
    "as_csv",
    "connect",
    "connect_beside",
    "copy_csv",
    "copy_in",
    "copy_out",
    "execute",
    "libpq_environment",
    "libpq_parameters",
    "libpq_url",
    "location",
    "lock",
    "row",
    "rows",
    "select_read_only",
    "snapshot",
    "statement",
    "transaction",
    "without_password",
]
