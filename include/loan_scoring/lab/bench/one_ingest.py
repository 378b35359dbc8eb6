"""Ingest one file in a process of its own and print what it took: `one_ingest PORTFOLIO FILE`."""

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
from loan_scoring.lab.bench.measuring import delete_batches, peak_memory_bytes
from loan_scoring.local.postgres import portfolio_database_url

WARM_UP_ROWS = 1000


def main(portfolio: str, file: str) -> dict[str, float]:
    """Ingest a few rows to be warm, then the file into empty tables; return what that took.

    `seconds` is landing and publishing, `judge_seconds` the check between them.
    """
    night = contract.load(portfolio).replay.start
    with open_session(portfolio, portfolio_database_url()) as session:
        few = Path(file).with_suffix(".few.csv")
        with Path(file).open("rb") as rows:
            few.write_bytes(b"".join(itertools.islice(rows, WARM_UP_ROWS + 1)))
        for each in (few, Path(file)):
            delete_batches(session)
            started = time.perf_counter()
            landed = land_batch(session, night, each)
            is_landed = time.perf_counter()
            check_batch(session, night, landed.revision)
            is_judged = time.perf_counter()
            publish_batch(session, night, landed.revision, each)
            seconds = time.perf_counter() - is_judged + is_landed - started
    return {
        "seconds": seconds,
        "judge_seconds": is_judged - is_landed,
        "peak_memory_bytes": peak_memory_bytes(),
    }


if __name__ == "__main__":
    logging.disable()
    try:
        result: dict[str, Any] = main(*sys.argv[1:])
    except LoanScoringError as error:
        result = {"error": str(error)}
    sys.stdout.write(json.dumps(result))
