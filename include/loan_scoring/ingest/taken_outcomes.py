"""Say what a file of outcomes brought: row counts, broken rules and changed loans."""

import logging
from dataclasses import dataclass, field

from loan_scoring.contract import KEY, Contract
from loan_scoring.counted import counted
from loan_scoring.ingest.outcome_changes import ChangedLoans
from loan_scoring.ingest.outcome_landing import ImpossibleRow, ImpossibleRows
from loan_scoring.ingest.outcome_remedies import remedy

log = logging.getLogger(__name__)

UNKNOWN_LOAN = f"unknown_loan:{KEY}"
"""The rule that an outcome breaks if no application has its loan."""


@dataclass(frozen=True)
class TakenOutcomes:
    """The revision in which a file of outcomes was ingested, with its row counts.

    `drop_id` identifies the file by its name. `is_unchanged` is True if the file has no new
    content. Then no revision was added, and the fields describe the earlier revision.

    `received` is `accepted` + `open` + `quarantined`. `repeated` of the accepted rows only say what
    counted already. `open` rows are of loans whose state is no outcome yet. `rules` counts the
    quarantined rows by rule, and `samples` has the first of them.

    `loans` counts the loans whose row in table `outcomes` the file changed.
    """

    drop_id: str
    revision: int
    received: int
    accepted: int
    quarantined: int
    repeated: int = 0
    open: int = 0
    rules: dict[str, int] = field(default_factory=dict)
    samples: dict[str, ImpossibleRow] = field(default_factory=dict)
    is_unchanged: bool = False
    is_correction: bool = False
    loans: ChangedLoans = field(default_factory=ChangedLoans)

    @property
    def sentence(self) -> str:
        """The row counts in one line."""
        known = f" ({self.repeated} of them known before)" if self.repeated else ""
        waiting = f", {self.open} open (no outcome yet)" if self.open else ""
        rules = ", ".join(f"{rule} {rows}" for rule, rows in self.rules.items())
        same = " (the same bytes: nothing changed)" if self.is_unchanged else ""
        return (
            f"{self.drop_id} revision {self.revision}: {self.received} received, {self.accepted} "
            f"accepted{known}{waiting}, {self.quarantined} quarantined"
            f"{f' ({rules})' if rules else ''}{same}"
        )


def log_taken(contract: Contract, taken: TakenOutcomes) -> None:
    """Log what a file of outcomes brought. What a person should see is a warning."""
    log.info("%s", taken.sentence)
    limits = contract.ingest.quarantine
    many = max(limits.few_rows, limits.min_share * taken.received)
    for rule, rows in () if taken.is_unchanged else taken.rules.items():
        if rule == UNKNOWN_LOAN:
            log.warning(
                "%s: %s of unknown loans in quarantine; "
                "ingest the batch of these loans, then this file again",
                taken.drop_id,
                counted(rows, "outcome"),
            )
        elif rows > many:
            log.warning(
                "%s: %s of %s broke the rule %s and went to quarantine; %s, "
                "then take the file in again",
                taken.drop_id,
                rows,
                counted(taken.received, "outcome"),
                rule,
                remedy(contract, rule, ImpossibleRows(samples=taken.samples)),
            )
    if taken.loans.removed or taken.loans.changed:
        log.warning("%s revision %s: %s", taken.drop_id, taken.revision, taken.loans.sentence)
