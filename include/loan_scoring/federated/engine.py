"""Run a federation from the command line of the second environment.

`python -m loan_scoring.federated.engine REQUEST RESULT` reads a request and writes a result, both
JSON.
"""

import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from loan_scoring import contract as contracts
from loan_scoring import settings
from loan_scoring.contract.federated import FederatedPolicy
from loan_scoring.database.session import open_session
from loan_scoring.errors import LoanScoringError, StateError
from loan_scoring.federated.processes import end_with_parent, run_processes
from loan_scoring.federated.site import Site, cut_site, policy_of
from loan_scoring.models.training.fit import split_rows
from loan_scoring.models.training.rows import freeze_rows


def main(arguments: list[str]) -> int:
    """Run the request and write the result. Return 1 after an error, with one line on stderr."""
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    import flwr  # noqa: F401 - it sets the level of its logger, so it is imported before this is

    logging.getLogger("flwr").setLevel(logging.ERROR)
    logging.getLogger("loan_scoring").setLevel(logging.INFO)
    # Ending this process ends what it has started, because blocks are left in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    end_with_parent()
    request, result = map(Path, arguments)
    try:
        found = run(json.loads(request.read_text()), request.parent)
    except LoanScoringError as error:
        print(error, file=sys.stderr)  # noqa: T201 - read by the parent process
        return 1
    result.write_text(json.dumps(found))
    return 0


def run(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the result of a request, in one process or by a SuperLink and SuperNodes."""
    if request.get("processes"):
        return run_processes(request, folder)
    from loan_scoring.federated.in_process import federate

    return federate(read_sites(request), request, folder)[0]


def read_sites(request: dict[str, Any]) -> list[Site]:
    """Return all sites of one database, read in one go.

    Raises:
        StateError: the variable with the database URL is not set.
    """
    policy = FederatedPolicy(**request["policy"])
    with open_session(request["portfolio"], site_url(), migrates=False) as session:
        training = freeze_rows(session)
    contract = session.contract.model_copy(update={"federated": policy})
    parts = split_rows(contract, training)
    sites = policy_of(contract).sites
    if sites is None:
        raise StateError("federated.sites names no column, so this database is one site only")
    values = training.table.column(sites.column).to_pandas().to_numpy()
    return [cut_site(contract, parts, values == name, name) for name in request["names"]]


def site_url() -> str:
    """Return the database URL of a site.

    Raises:
        StateError: the variable is not set.
    """
    url = settings.site_url()
    if url is None:
        raise StateError(
            "set LOAN_SCORING_SITE_URL to the database URL of this site, with a reading role"
        )
    return url


def under(portfolio: str, changes: dict[str, Any]) -> Any:
    """Return the contract of a portfolio with some fields of `federated` changed."""
    loaded = contracts.load(portfolio)
    policy = policy_of(loaded)
    return loaded.model_copy(update={"federated": type(policy)(**(policy.model_dump() | changes))})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
