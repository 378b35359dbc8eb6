"""Count the outcomes of each scoring run, and find the runs whose figures are out of date."""

from dataclasses import dataclass

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session


@dataclass(frozen=True)
class OutcomeCoverage:
    """The outcomes that a current run has now, and whether its figures are out of date.

    `stream` counts the outcomes that DDM reads: those of the mature batches up to this one that
    the same model scored, without the batches whose scores retention has dropped. A dropped run
    keeps its figures.
    """

    scoring_run_id: str
    batch_id: str
    propensity_version: str
    is_mature: bool
    stream: int
    is_stale: bool
    is_dropped: bool


def outcome_coverage(session: Session) -> list[OutcomeCoverage]:
    """Return the coverage of each current run, in the order of batches."""
    streams: dict[str, int] = {}
    dropped: dict[str, int] = {}
    found = []
    for row in database.rows(session.connection, "select_outcome_coverage"):
        version, count = row["propensity_version"], row["outcomes"]
        is_mature = has_enough_outcomes(session.contract, count, row["scored"])
        counted = dropped if row["is_dropped"] else streams
        counted[version] = counted.get(version, 0) + (count if is_mature else 0)
        stream = streams.get(version, 0)
        # Not stale merely because retention dropped earlier batches of the stream.
        whole = stream + dropped.get(version, 0)
        if is_mature:
            measured = row["measured_stream"]
            is_current = row["measured_loans"] == count and stream <= (measured or 0) <= whole
        else:
            is_current = row["measured_loans"] is None and row["measured_stream"] is None
        found.append(
            OutcomeCoverage(
                row["scoring_run_id"],
                row["batch_id"],
                version,
                is_mature,
                stream,
                not is_current and not row["is_dropped"],
                row["is_dropped"],
            )
        )
    return found


def has_enough_outcomes(contract: Contract, outcomes: int, scored: int) -> bool:
    """Return whether the outcomes of a batch reach the contract's `mature_share`."""
    return outcomes > 0 and outcomes >= contract.performance.mature_share * scored
