"""Errors that a user can cause. Each text is one line: what was found, where, what to do."""

from dataclasses import dataclass


class LoanScoringError(Exception):
    """Base of every error that a user can cause; its text is one complete line."""


class ContractError(LoanScoringError):
    """A portfolio's contract is missing or has a mistake."""


class SourceError(LoanScoringError):
    """A source file or URL cannot be read, or is not what the contract says."""


class PassingSourceError(SourceError):
    """A source that another try may find complete: it is still being written, or was cut off."""


class DatabaseError(LoanScoringError):
    """Postgres cannot be reached, started or migrated."""


class TrackingError(LoanScoringError):
    """MLflow, which mirrors the registered models, cannot be written."""


class ChannelError(LoanScoringError):
    """A notification channel does not work as it is set up; the text holds no secret."""


class StateError(LoanScoringError):
    """Something that a stage needs does not exist yet, such as a batch or a champion."""


class GoneError(StateError):
    """Retention dropped the rows that a stage needs; another try cannot succeed."""


class BusyError(LoanScoringError):
    """The server is busy with other requests; the same request may succeed later."""


class MissingError(StateError):
    """Nothing has the requested name or number."""


@dataclass(frozen=True)
class Fault:
    """A rule that a field of an application in a request breaks."""

    row: int
    """Position of the application in the request, from 0."""
    field: str
    rule: str
    """Name of the broken rule, the same as in quarantine."""
    message: str


class InputError(LoanScoringError):
    """Applications in a request break the contract's rules; each fault names its field."""

    def __init__(self, faults: "list[Fault]") -> None:
        self.faults = faults
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"application {first.row}, {first.field}: {first.message}{more}")
