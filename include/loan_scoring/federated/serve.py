"""Hand requests of the DAG `federated` to a SuperLink, one after the other.

`python -m loan_scoring.federated.serve HOST PORT CERTIFICATE` runs until it is stopped. Requests
and results are files of a folder that the SuperLink sees under the same path.
"""

import json
import logging
import sys
import tempfile
import threading
import time
from pathlib import Path

from loan_scoring import settings
from loan_scoring.errors import LoanScoringError
from loan_scoring.federated.request import ALIVE, BEAT_SECONDS
from loan_scoring.federated.submit import submit


def serve(host: str, port: int, certificate: str) -> None:
    """Take every request that has neither a result nor an error."""
    threading.Thread(target=_beat, daemon=True).start()
    while True:
        for folder in open_requests():
            take(folder, host, port, certificate)
        time.sleep(2)


def open_requests() -> list[Path]:
    """Return the folders of requests that have neither a result nor an error, oldest first."""
    requests = (settings.data_dir() / "federated").glob("*/federated-*/request.json")
    return [
        each.parent
        for each in sorted(requests, key=lambda each: each.parent.name)
        if not (each.parent / "result.json").exists() and not (each.parent / "error.txt").exists()
    ]


def _beat() -> None:
    """Mark all open requests as being worked on, also those that wait for an earlier one."""
    served = Path(tempfile.gettempdir()) / "served"  # the health check looks at its age
    while True:
        for folder in open_requests():
            (folder / ALIVE).touch()
        served.touch()
        time.sleep(BEAT_SECONDS)


def take(folder: Path, host: str, port: int, certificate: str | None) -> None:
    """Run one request, and write its result or its error."""
    try:
        found = submit(
            json.loads((folder / "request.json").read_text()), folder, port, host=host,
            tls=certificate,
        )  # fmt: skip
    except LoanScoringError as error:
        (folder / "error.txt").write_text(f"{error}\n")
        return
    except Exception as error:  # one broken request must not keep the others waiting
        logging.getLogger(__name__).exception("%s", folder)
        (folder / "error.txt").write_text(f"the request failed: {error!r}\n")
        return
    partly = folder / "result.part"
    partly.write_text(json.dumps(found))
    partly.replace(folder / "result.json")


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
