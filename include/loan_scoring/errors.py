"""Errors that a user can cause.

Each message is one line that says what was found, where, and what to do.
"""

from dataclasses import dataclass


class LoanScoringError(Exception):
    """Base class of every error that a user can cause. The message is one complete line."""


class ContractError(LoanScoringError):
    """The contract of a portfolio is missing or not valid."""


class SourceError(LoanScoringError):
    """A source file or URL cannot be read, or its content does not fit the contract."""


class PassingSourceError(SourceError):
    """A source cannot be read now, but a retry may succeed.

    For example, the file is still being written, or the connection was lost.
    """


class BatchError(LoanScoringError):
    """A batch_id is neither `history` nor a business date that may be ingested now."""


class DatabaseError(LoanScoringError):
    """Postgres cannot be reached, started or migrated."""


class TrackingError(LoanScoringError):
    """Writing the copy of the registered models to MLflow failed."""


class ChannelError(LoanScoringError):
    """A notification channel does not work with its settings. The message contains no secret."""


class StateError(LoanScoringError):
    """The current state does not allow the action, for example because there is no champion yet."""


class GoneError(StateError):
    """Retention dropped the rows that a stage needs, so a retry cannot succeed."""


class BusyError(LoanScoringError):
    """The server is busy with other requests, so the same request may succeed later."""


class MissingError(StateError):
    """The requested object, such as a loan or a scoring run, does not exist."""


@dataclass(frozen=True)
class Fault:
    """A validation error: a field of an application in a request breaks a rule."""

    row: int
    """Index of the application in the request. The first application has index 0."""
    field: str
    rule: str
    """Name of the broken rule. Table `quarantine` uses the same names."""
    message: str


class InputError(LoanScoringError):
    """Applications in a request break rules of the contract.

    Each item of `faults` is one validation error and names the field.
    """

    def __init__(self, faults: "list[Fault]") -> None:
        self.faults = faults
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"application {first.row}, {first.field}: {first.message}{more}")
