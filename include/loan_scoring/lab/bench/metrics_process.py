"""Run stage `metrics` and print time and memory as JSON: `metrics_process PORTFOLIO BATCH_ID`."""

import json
import logging
import sys
import time
from typing import Any

from loan_scoring.errors import LoanScoringError
from loan_scoring.lab.bench.harness import peak_memory_bytes
from loan_scoring.local.postgres import portfolio_database_url


def main(portfolio: str, batch_id: str) -> dict[str, float]:
    """Measure a scored batch as a night does, imports included.

    Return `seconds`, `cpu_seconds` (of this process, without Postgres's) and `peak_memory_bytes`.
    """
    started = time.perf_counter()
    from loan_scoring.database.session import open_session
    from loan_scoring.monitoring.metrics import compare_batch

    with open_session(portfolio, portfolio_database_url()) as session:
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
