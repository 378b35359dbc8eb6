"""Count the outcomes of each scoring run, and find runs whose performance is out of date."""

from dataclasses import dataclass

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session


@dataclass(frozen=True)
class OutcomeCoverage:
    """How many outcomes a current scoring run has, and whether its performance is out of date.

    `is_mature` says whether the batch has enough outcomes. `stream` is the number of outcomes that
    DDM reads. DDM reads the mature batches that the same model scored, up to and including this
    batch. Batches whose scores retention has dropped do not count.

    `is_stale` says whether, after the performance was measured, outcomes arrived, changed or were
    withdrawn, or people decided loans of the batch. A run whose scores retention has dropped is
    never stale, because it cannot be measured again.
    """

    scoring_run_id: str
    batch_id: str
    propensity_version: str
    is_mature: bool
    stream: int
    is_stale: bool
    is_dropped: bool


def outcome_coverage(session: Session) -> list[OutcomeCoverage]:
    """Return the outcome coverage of each current scoring run, sorted by batch_id."""
    streams: dict[str, int] = {}
    dropped: dict[str, int] = {}
    changes: dict[str, int] = {}
    found = []
    for row in database.rows(session.connection, "select_outcome_coverage"):
        version, count = row["propensity_version"], row["outcomes"]
        is_mature = has_enough_outcomes(session.contract, count, row["scored"])
        counted = dropped if row["is_dropped"] else streams
        counted[version] = counted.get(version, 0) + (count if is_mature else 0)
        stream = streams.get(version, 0)
        # DDM may have been measured before retention dropped earlier batches of the stream. The
        # measured stream may therefore include all, some or none of the dropped outcomes, and the
        # figures are not out of date in any of these cases.
        whole = stream + dropped.get(version, 0)
        if is_mature:
            if not row["is_dropped"]:
                changes[version] = max(changes.get(version, 0), row["last_change"])
            measured = row["measured_stream"]
            is_current = (
                row["measured_loans"] == count
                and stream <= (measured or 0) <= whole
                and changes.get(version, 0) <= row["measured_change"]
            )
        else:
            is_current = row["measured_loans"] is None and row["measured_stream"] is None
        is_current &= row["decisions"] == row["measured_decisions"]
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
    """Return whether the share of scored loans with an outcome reaches the `mature_share`.

    Return False if no loan has an outcome.
    """
    return outcomes > 0 and outcomes >= contract.performance.mature_share * scored
