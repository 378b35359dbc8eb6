"""What can go wrong through no fault of the code, each in one line: what, where, what to do."""


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
