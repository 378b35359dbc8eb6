"""Score a file of applications into a CSV file, without storing anything in the database."""

import logging
from dataclasses import dataclass
from pathlib import Path

from threadpoolctl import threadpool_limits

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.database.readahead import read_ahead
from loan_scoring.database.session import Session
from loan_scoring.ingest.files.locations import location_label
from loan_scoring.ingest.files.table import open_table
from loan_scoring.ingest.landing import ledger_location
from loan_scoring.ingest.row_rules import RowRules
from loan_scoring.models import registry
from loan_scoring.scoring.file_output import ScoreFiles, refuse_to_replace, refused_path

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileScored:
    """The result of scoring a file: received is always scored + referred + refused."""

    source: str
    out: str
    refused_out: str | None
    """The file of the refused rows; None if there are none."""
    propensity_version: str
    personas_version: str
    received: int
    scored: int
    referred: int
    refused: int


def score_file(session: Session, location: str | Path, out: str | Path) -> FileScored:
    """Score a file of applications into the CSV file `out`; the database is only read.

    The file is read and checked as in ingest, without the rule `known_key`: nothing is stored.
    Rows that break a rule go to the file `refused_path(out)`. Rows are processed in blocks, so that
    memory is bounded. Both files appear complete at the end, or not at all.

    The scores equal those of a batch to the last bit if the champion is made of trees. Of a
    logistic regression the last digits depend on the blocks, as between mini-batches.

    Raises:
        StateError: there is no champion.
        SourceError: the file cannot be read, or a column of the contract is missing.
        LoanScoringError: `out` cannot be written, or is a file that is being scored.
    """
    contract, out = session.contract, Path(out)
    with database.transaction(session.connection):
        propensity, personas = registry.champion_pair(session)
        scorer = registry.load_scorer(session, propensity, personas)
    wanted = [column.source for column in contract.columns]
    with open_table(location, wanted, encoding=contract.source.encoding) as table:
        refuse_to_replace(table, location, out)
        refuse_to_replace(table, location, refused_path(out))
        if table.header.extra:
            log.warning(
                "%s: ignored columns that are not in the contract: %s",
                location_label(location),
                ", ".join(table.header.extra),
            )
        rules = RowRules(contract)
        # One thread, as for a mini-batch: the same arithmetic gives the same scores.
        with ScoreFiles(out, contract, table) as results, threadpool_limits(limits=1):
            for rows, rejected in read_ahead(rules.apply(block) for block in table):
                results.add(rows.column(KEY), scorer.score(rows), (propensity, personas))
                results.refuse(rejected)
    return FileScored(
        source=ledger_location(location),
        out=str(out),
        refused_out=str(refused_path(out)) if results.refused else None,
        propensity_version=propensity,
        personas_version=personas,
        received=results.scored + results.referred + results.refused,
        scored=results.scored,
        referred=results.referred,
        refused=results.refused,
    )
