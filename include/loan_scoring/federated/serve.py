"""Hand requests of the DAG `federated` to a SuperLink, one after the other.

`python -m loan_scoring.federated.serve HOST PORT CERTIFICATE` runs until it is stopped. Requests
and results are files beside the artifacts, which the SuperLink sees under the same paths.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from loan_scoring import settings
from loan_scoring.errors import StateError
from loan_scoring.federated.processes import submit


def serve(host: str, port: int, certificate: str) -> None:
    """Take every request that has neither a result nor an error."""
    alive = Path(tempfile.gettempdir()) / "served"  # the health check looks at its age
    while True:
        for request in sorted(
            (settings.data_dir() / "artifacts").glob("*/federated-*/request.json")
        ):
            folder = request.parent
            if not (folder / "result.json").exists() and not (folder / "error.txt").exists():
                take(folder, host, port, certificate)
        alive.touch()
        time.sleep(2)


def take(folder: Path, host: str, port: int, certificate: str | None) -> None:
    """Run one request, and write its result or its error."""
    try:
        found = submit(
            json.loads((folder / "request.json").read_text()), folder, port, host=host,
            tls=certificate,
        )  # fmt: skip
    except StateError as error:
        (folder / "error.txt").write_text(f"{error}\n")
        return
    partly = folder / "result.part"
    partly.write_text(json.dumps(found))
    partly.replace(folder / "result.json")


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
