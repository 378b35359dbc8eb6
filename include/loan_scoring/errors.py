"""Errors that a user can cause.

Each message is one line that says what is wrong, where, and what the user can do.
"""

from dataclasses import dataclass

INSTALL_EXTRAS = "`.venv/bin/uv pip install --require-hashes -r requirements-extras.txt`"
"""The command that a message names if a package of an extra is missing."""


class LoanScoringError(Exception):
    """Base class of every error that a user can cause. The message is one complete line."""


class ContractError(LoanScoringError):
    """The contract of a portfolio is missing or not valid."""


class SourceError(LoanScoringError):
    """A source file or URL cannot be read, or the content does not fit the contract."""


class PassingSourceError(SourceError):
    """A source cannot be read now, but a retry may succeed.

    For example, the file is still being written, or the connection was lost.
    """


class MissingColumnsError(SourceError):
    """A source file lacks columns that it must have. `columns` has their names."""

    def __init__(self, message: str, columns: list[str]) -> None:
        self.columns = columns
        super().__init__(message)


class NoRowsError(SourceError):
    """A source file has no rows. Only a date that is declared empty may have such a file."""


class BatchError(LoanScoringError):
    """A batch_id is neither `history` nor a business date that may be ingested now."""


class DatabaseError(LoanScoringError):
    """Postgres cannot be reached, started or migrated."""


class TrackingError(LoanScoringError):
    """The registered models cannot be copied to MLflow."""


class ChannelError(LoanScoringError):
    """A notification cannot be sent with the settings of a channel.

    The message of this error contains no secret.
    """


class StateError(LoanScoringError):
    """The current state does not allow the action, for example because there is no champion yet."""


class GoneError(StateError):
    """Retention has dropped the rows that the action needs, so a retry cannot succeed."""


class FailedRunError(StateError):
    """A federated run has failed. Waiting for it longer cannot succeed."""


class BusyError(LoanScoringError):
    """The server is busy with other requests. The caller may send the request again later."""


class NotSetUpError(StateError):
    """A portfolio has a contract and no tables yet."""


class MissingError(StateError):
    """The requested object, such as a loan or a scoring run, does not exist."""


@dataclass(frozen=True)
class Fault:
    """A validation error of a request: one field of one application breaks a rule."""

    row: int
    """Index of the application in the request. The first application has index 0."""
    field: str
    rule: str
    """Name of the broken rule, as in table `quarantine`."""
    message: str


class InputError(LoanScoringError):
    """One or more applications in a request break rules of the contract.

    `faults` contains one validation error for each broken rule.
    """

    def __init__(self, faults: "list[Fault]") -> None:
        self.faults = faults
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"application {first.row}, {first.field}: {first.message}{more}")
