"""What can go wrong through no fault of the code, each in one line: what, where, what to do."""

from dataclasses import dataclass


class LoanScoringError(Exception):
    """Base of every error that a user can cause; its text is one complete line."""


class ContractError(LoanScoringError):
    """A portfolio's contract is missing or has a mistake."""


class SourceError(LoanScoringError):
    """A source file or URL cannot be read, or is not what the contract says."""


class PassingSourceError(SourceError):
    """A source that may be whole at another try: still being written, or cut off on the way."""


class DatabaseError(LoanScoringError):
    """Postgres cannot be reached, started or migrated."""


class TrackingError(LoanScoringError):
    """MLflow, which mirrors the models on record, cannot be written."""


class ChannelError(LoanScoringError):
    """A channel of notifications cannot be used as it is set up; the text has no secret in it."""


class StateError(LoanScoringError):
    """A stage was asked for before what it needs exists (no batch, no champion)."""


class GoneError(StateError):
    """The rows that a stage needs were dropped by retention: no other try brings them back."""


class BusyError(LoanScoringError):
    """Others are being served; the same may be asked again."""


class MissingError(StateError):
    """What was asked for by its name or number is not there."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a field of an application that was handed over."""

    row: int
    """Place of the application, from 0 on."""
    field: str
    rule: str
    """Name of the broken rule, as quarantine has it."""
    message: str


class InputError(LoanScoringError):
    """Applications that were handed over break the contract's rules; each fault names its field."""

    def __init__(self, faults: "list[Fault]") -> None:
        self.faults = faults
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"application {first.row}, {first.field}: {first.message}{more}")
