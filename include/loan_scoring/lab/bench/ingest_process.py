"""Ingest one file in this process and print the cost: `ingest_process PORTFOLIO FILE [KNOWN]`."""

import itertools
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from loan_scoring import contract
from loan_scoring.database.session import open_session
from loan_scoring.errors import LoanScoringError
from loan_scoring.ingest.batches import check_batch, land_batch, publish_batch
from loan_scoring.lab.bench.harness import (
    delete_batches,
    enter_known_loans,
    peak_memory_bytes,
)
from loan_scoring.local.postgres import portfolio_database_url

WARM_UP_ROWS = 1000


def main(portfolio: str, file: str, known: str = "0") -> dict[str, float]:
    """Ingest a few rows as a warm-up, then ingest the file into empty tables. Return the cost.

    If `known` is not 0, other batches have this number of loans.

    `seconds` is the time of landing and publishing together. `judge_seconds` is the time of the
    check between landing and publishing.
    """
    night = contract.load(portfolio).replay.start
    with open_session(portfolio, portfolio_database_url()) as session:
        few = Path(file).with_suffix(".few.csv")
        with Path(file).open("rb") as rows:
            few.write_bytes(b"".join(itertools.islice(rows, WARM_UP_ROWS + 1)))
        for each in (few, Path(file)):
            delete_batches(session, are_known_loans_kept=bool(int(known)))
            enter_known_loans(session, int(known))
            started = time.perf_counter()
            landed = land_batch(session, night, each)
            after_landing = time.perf_counter()
            check_batch(session, night, landed.revision)
            after_check = time.perf_counter()
            publish_batch(session, night, landed.revision, each)
            seconds = time.perf_counter() - after_check + after_landing - started
    return {
        "seconds": seconds,
        "judge_seconds": after_check - after_landing,
        "peak_memory_bytes": peak_memory_bytes(),
    }


if __name__ == "__main__":
    logging.disable()
    try:
        result: dict[str, Any] = main(*sys.argv[1:])
    except LoanScoringError as error:
        result = {"error": str(error)}
    sys.stdout.write(json.dumps(result))
