"""Describe the Airflow of this checkout: DAGs, plugins, connections to the database."""

from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.local.airflow import AirflowStack
from loan_scoring.local.postgres import embedded

STAGES = ("ingest", "outcomes", "train", "score", "metrics")


def airflow_stack(
    portfolios: list[Contract], url: str, *, is_detached: bool = False
) -> AirflowStack:
    """Return the Airflow of this checkout; its tasks connect to the portfolio database at `url`."""
    server = embedded().start()
    return AirflowStack(
        settings.state_dir(),
        settings.home() / "dags",
        settings.home() / "plugins",
        server.url("airflow"),
        expected_dags=tuple(f"{each.portfolio}_{stage}" for each in portfolios for stage in STAGES),
        environment=_connections(url),
        is_detached=is_detached,
    )


def _connections(url: str) -> dict[str, str]:
    """Return Airflow's connections to the portfolio database: for stages and for pages.

    The connection for pages is left out for a database of the user's: it is in the environment or
    in Airflow.
    """
    found = {"AIRFLOW_CONN_LOAN_SCORING": url}
    if settings.database_url() is None:
        found["AIRFLOW_CONN_LOAN_SCORING_READER"] = embedded().url(database.READER)
    return found
