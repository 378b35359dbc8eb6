"""Ingest one file in a process of its own and print what it took: `one_ingest PORTFOLIO FILE`."""

import itertools
import json
import logging
import re
import sys
import time
from pathlib import Path
from typing import Any

from loan_scoring import contract, database, ingest
from loan_scoring.errors import LoanScoringError
from loan_scoring.session import Session, open_session

WARM_UP_ROWS = 1000


def main(portfolio: str, file: str) -> dict[str, float]:
    """Ingest a few rows to be warm, then the file into empty tables; return what that took.

    `seconds` is landing and publishing, `judge_seconds` the check between them.
    """
    night = contract.load(portfolio).replay.start
    with open_session(portfolio) as session:
        few = Path(file).with_suffix(".few.csv")
        with Path(file).open("rb") as rows:
            few.write_bytes(b"".join(itertools.islice(rows, WARM_UP_ROWS + 1)))
        for each in (few, Path(file)):
            _empty(session)
            started = time.perf_counter()
            landed = ingest.land(session, night, each)
            is_landed = time.perf_counter()
            ingest.check(session, night, landed.revision)
            is_judged = time.perf_counter()
            ingest.publish(session, night, landed.revision, each)
            seconds = time.perf_counter() - is_judged + is_landed - started
    return {
        "seconds": seconds,
        "judge_seconds": is_judged - is_landed,
        "peak_memory_bytes": _peak_memory_bytes(),
    }


def _empty(session: Session) -> None:
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute("TRUNCATE batches, applications, quarantine CASCADE")


def _peak_memory_bytes() -> int:
    """Return the peak of this process; ru_maxrss would be that of its parent, where it is higher.

    >>> _peak_memory_bytes() > 1 << 20
    True
    """
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) << 10 if found else 0


if __name__ == "__main__":
    logging.disable()
    try:
        result: dict[str, Any] = main(*sys.argv[1:])
    except LoanScoringError as error:
        result = {"error": str(error)}
    sys.stdout.write(json.dumps(result))
