"""Run one stage of a night and print its cost: `stage_process STAGE PORTFOLIO BATCH [FILE]`."""

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from loan_scoring.errors import LoanScoringError
from loan_scoring.lab.bench.harness import peak_memory_bytes
from loan_scoring.local.postgres import portfolio_database_url


def main(stage: str, portfolio: str, batch_id: str, file: str = "") -> dict[str, float]:
    """Run stage `ingest`, `score`, `metrics` or `train` of a batch, imports included.

    Return `seconds`, `cpu_seconds` (of this process, without Postgres's) and `peak_memory_bytes`.
    """
    started = time.perf_counter()
    from loan_scoring.database.session import open_session

    with open_session(portfolio, portfolio_database_url()) as session:
        if stage == "ingest":
            from loan_scoring.ingest.batches import ingest_batch

            ingest_batch(session, batch_id, Path(file))
        elif stage == "score":
            from loan_scoring.scoring.batch import score_batch

            score_batch(session, batch_id)
        elif stage == "train":
            from loan_scoring.models.training.run import train

            train(session)
        else:
            from loan_scoring.monitoring.metrics import compare_batch

            compare_batch(session, batch_id)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time(),
        "peak_memory_bytes": peak_memory_bytes(),
    }


if __name__ == "__main__":
    logging.disable()
    try:
        result: dict[str, Any] = main(*sys.argv[1:])
    except LoanScoringError as error:
        result = {"error": str(error)}
    sys.stdout.write(json.dumps(result))
