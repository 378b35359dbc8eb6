"""Score a file of applications that is not in the database, with the champions, into a CSV file."""

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
from loan_scoring.scoring.file_output import ScoreFiles, _refuse_to_replace, refused_path

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileScored:
    """What scoring a file came to: received is always scored + referred + refused."""

    source: str
    out: str
    refused_out: str | None
    """Where the refused rows are; None where none is."""
    propensity_version: str
    personas_version: str
    received: int
    scored: int
    referred: int
    refused: int


def score_file(session: Session, location: str | Path, out: str | Path) -> FileScored:
    """Score a file of applications into the CSV file `out`; the database is only read.

    The file is read, and its rows are judged, as ingest does it; `known_key` alone is not asked,
    for nothing is taken in. Rows that break a rule go beside `out`, see `refused_path`. Memory is
    bounded: block by block. Both files appear whole, at the end, or not at all.

    The scores are those of a batch, to the last bit where the champion is made of trees; of a
    logistic regression the last digits depend on how rows are cut, as between mini-batches.

    Raises:
        StateError: no model is in use.
        SourceError: the file cannot be read or lacks a column of the contract.
        LoanScoringError: `out` cannot be written, or is the very file that is scored.
    """
    contract, out = session.contract, Path(out)
    with database.transaction(session.connection):
        propensity, personas = registry.champion_pair(session)
        scorer = registry.load_scorer(session, propensity, personas)
    wanted = [column.source for column in contract.columns]
    with open_table(location, wanted, encoding=contract.source.encoding) as table:
        _refuse_to_replace(table, location, out)
        _refuse_to_replace(table, location, refused_path(out))
        if table.header.extra:
            log.warning(
                "%s: columns that the contract does not know were kept out: %s",
                location_label(location),
                ", ".join(table.header.extra),
            )
        rules = RowRules(contract)
        # One thread, as a mini-batch has it: the same arithmetic gives the same scores.
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
