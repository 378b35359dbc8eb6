"""Score a file of applications and write the scores to a CSV file.

The database is only read.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from threadpoolctl import threadpool_limits

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.contract.business_dates import local_time
from loan_scoring.contract.presence import split_columns_of_file
from loan_scoring.counted import counted
from loan_scoring.database.readahead import read_ahead
from loan_scoring.database.session import Session
from loan_scoring.features.lookups import KnownBy, join_lookups
from loan_scoring.ingest.files.locations import location_label
from loan_scoring.ingest.files.table import open_applications
from loan_scoring.ingest.landing import source_label
from loan_scoring.ingest.row_rules import RowRules
from loan_scoring.models import registry
from loan_scoring.scoring.file_output import ScoreFiles, refuse_to_replace, refused_path

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileScored:
    """The result of scoring a file. `received` equals `scored` + `referred` + `refused`."""

    source: str
    out: str
    refused_out: str | None
    """Path of the file of refused rows, or None if no row was refused."""
    propensity_version: str
    personas_version: str
    received: int
    scored: int
    referred: int
    refused: int


def score_file(session: Session, location: str | Path, out: str | Path) -> FileScored:
    """Score a file of applications and write the scores to the CSV file `out`.

    The database is only read. The file is read and checked as a file of today in the stage
    `ingest`, but without the rule `known_key`, because nothing is stored. Rows that break a rule
    are written to the file `refused_path(out)`. Rows are processed in blocks, so that memory is
    bounded. Each result file appears only when it is complete.

    If the champion is a tree model, the scores equal the scores of a batch to the last bit. If the
    champion is a logistic regression, the last digits can differ, because they depend on how rows
    are divided into blocks.

    Args:
        session: database session of the portfolio.
        location: path or URL of the file of applications.
        out: path of the CSV file to write.

    Raises:
        StateError: there is no champion.
        SourceError: the file cannot be read, or a column of the contract is missing.
        LoanScoringError: a result file cannot be written, or would replace a file that is being
            scored.
    """
    contract, out = session.contract, Path(out)
    with database.transaction(session.connection):
        propensity, personas = registry.champion_pair(session)
        scorer = registry.load_scorer(session, propensity, personas)
    today = local_time(contract.schedules.timezone).date()
    wanted, optional = split_columns_of_file(contract, str(today))
    with open_applications(contract, location, wanted, optional) as table:
        refuse_to_replace(table, location, out)
        refuse_to_replace(table, location, refused_path(out))
        if table.header.extra:
            log.warning(
                "%s: ignored %s that the contract does not name",
                location_label(location),
                counted(len(table.header.extra), "column"),
            )
        rules = RowRules(contract)
        own = Session(scorer.contract, session.connection)
        known_by = KnownBy(today)
        # Use one thread, as mini-batches do, because with several threads the last bit of a score
        # can change.
        with ScoreFiles(out, contract, table) as results, threadpool_limits(limits=1):
            judged = ((*rules.apply(block), block.place) for block in table)
            for rows, rejected, place in read_ahead(judged):
                joined = join_lookups(own, rows, scorer.columns, known_by)
                results.add(rows.column(KEY), scorer.score(joined), (propensity, personas))
                results.refuse(rejected, place)
    return FileScored(
        source=source_label(location),
        out=str(out),
        refused_out=str(refused_path(out)) if results.refused else None,
        propensity_version=propensity,
        personas_version=personas,
        received=results.scored + results.referred + results.refused,
        scored=results.scored,
        referred=results.referred,
        refused=results.refused,
    )
