"""Flower's apps of a SuperLink and of a SuperNode, which find their settings in configurations."""

import json
import logging
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from flwr.app import Context
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring.database.session import open_session
from loan_scoring.errors import LoanScoringError
from loan_scoring.federated.client import client_app
from loan_scoring.federated.engine import site_url, under
from loan_scoring.federated.server import Federation
from loan_scoring.federated.site import Site, read_site

log = logging.getLogger(__name__)
_SITES: dict[int, Site] = {}


def server_app() -> ServerApp:
    """Return the app of the server. It writes the result, or the error, as JSON to a file."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        request = json.loads(Path(str(context.run_config["request"])).read_text())
        result = Path(str(context.run_config["result"]))
        try:
            found = Federation(grid, context, request).run()
        except LoanScoringError as error:
            found = {"error": str(error)}
        except Exception as error:  # who waits for the result must learn of it
            log.exception("the run failed")
            found = {"error": f"the run failed: {error!r}; read the SuperLink's log"}
        partly = result.with_suffix(".part")
        partly.write_text(json.dumps(found))
        partly.replace(result)

    return app


def site_app() -> ClientApp:
    """Return the app of a site, whose name, portfolio and folder are in the node's configuration.

    `folder` keeps the log of what was sent; `rows`, by default within it, the rows during a run.
    The database URL comes from the node's environment, so that it is in no message and no argument.
    """
    return client_app(
        find_site, lambda context: _folder(context) / f"{context.run_id}.jsonl", _forget
    )


def find_site(context: Context) -> Site:
    """Return the site of a node. A node that was asked before reads its rows from its own file."""
    if context.run_id not in _SITES:
        _SITES[context.run_id] = _read(context)
    return _SITES[context.run_id]


def _forget(context: Context) -> None:
    """Delete the rows that were kept for this run, and those of runs that never ended."""
    shutil.rmtree(_rows(context).parent, ignore_errors=True)


def _rows(context: Context) -> Path:
    """Return the folder in which the rows of a site are kept during a run."""
    given = context.node_config.get("rows")
    rows = Path(str(given)) if given else _folder(context) / "rows"
    return rows / str(context.node_config["site"]) / str(context.run_id)


def _folder(context: Context) -> Path:
    given = context.node_config.get("folder")
    return Path(str(given)) if given else settings.data_dir() / "site"


def _read(context: Context) -> Site:
    config = context.node_config
    name = str(config["site"])
    contract = under(
        str(config["portfolio"]),
        json.loads(str(config.get("policy", "")).replace("'", '"') or "{}"),
    )
    folder = _rows(context)
    if (folder / "learn.parquet").is_file():
        return _kept(contract, name, folder)
    with open_session(str(config["portfolio"]), site_url(), migrates=False) as session:
        site = read_site(session, name, str(config["level"]) if "level" in config else None)
    # Flower starts a process for each message, so the rows of a run are kept beside the node.
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for part, X, y in (("test", site.X_test, site.y_test), ("learn", site.X, site.y)):
        table = pa.Table.from_pandas(X, preserve_index=False).append_column(
            "is_default", pa.array(y)
        )
        write_parquet(folder / f"{part}.parquet", table)
    return _kept(contract, name, folder)


def _kept(contract: Contract, name: str, folder: Path) -> Site:
    parts = []
    for part in ("learn", "test"):
        frame = pq.read_table(folder / f"{part}.parquet").to_pandas()
        y = frame.pop("is_default").to_numpy()
        for column in frame.columns:
            if not contract.by_name[column].is_numeric_feature:
                frame[column] = (
                    frame[column].astype(object).where(frame[column].notna(), float("nan"))
                )
        parts += [frame, y]
    return Site(name, contract, *parts)


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table for the account only, whole or not at all."""
    partly = path.with_suffix(".part")
    pq.write_table(table, partly)
    partly.chmod(0o600)
    partly.replace(path)
