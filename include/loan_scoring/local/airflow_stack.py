"""The Airflow of this checkout: its DAGs, plugins and connections to the portfolio database."""

from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.local.airflow import AirflowStack
from loan_scoring.local.postgres import embedded

STAGES = ("ingest", "outcomes", "train", "score", "metrics")


def airflow_stack(of: list[Contract], url: str, *, is_detached: bool = False) -> AirflowStack:
    """Return the Airflow of this checkout, its tasks connected to the portfolio database."""
    server = embedded().start()
    return AirflowStack(
        settings.state_dir(),
        settings.home() / "dags",
        settings.home() / "plugins",
        server.url("airflow"),
        expected_dags=tuple(f"{each.portfolio}_{stage}" for each in of for stage in STAGES),
        environment=_connections(url),
        is_detached=is_detached,
    )


def _connections(url: str) -> dict[str, str]:
    """Return Airflow's connections to the portfolio database: the stages' and, if ours, the pages'.

    A database that is not ours to make has its own role for pages, in the environment or Airflow.
    """
    found = {"AIRFLOW_CONN_LOAN_SCORING": url}
    if settings.database_url() is None:
        found["AIRFLOW_CONN_LOAN_SCORING_READER"] = embedded().url(database.READER)
    return found
