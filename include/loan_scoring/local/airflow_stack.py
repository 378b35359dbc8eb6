"""Configure the Airflow stack of this checkout: DAGs, plugins and database connections."""

from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.local.airflow import AirflowStack
from loan_scoring.local.postgres import embedded
from loan_scoring.local.streams import stream_commands

STAGES = ("ingest", "outcomes", "train", "score", "metrics")


def stages_of(contract: Contract) -> tuple[str, ...]:
    """Return the stages of a portfolio. Only some have a shadow, a stream, sites or scans."""
    optional = {
        "shadow": bool(contract.promotion.shadow_nights),
        "stream": contract.schedules.stream is not None,
        "federated": contract.federated is not None,
        "scans": contract.scan_form is not None,
    }
    return (*STAGES, *(stage for stage, has in optional.items() if has))


def airflow_stack(
    portfolios: list[Contract], url: str, *, is_detached: bool = False
) -> AirflowStack:
    """Return the Airflow stack of this checkout, without starting the stack.

    The embedded Postgres is started, because Airflow's metadata database is on this server.

    Args:
        portfolios: contracts of the portfolios whose DAGs the stack must parse.
        url: URL of the portfolio database that Airflow's tasks connect to.
        is_detached: whether the stack is to run in the background.
    """
    server = embedded().start()
    return AirflowStack(
        settings.state_dir(),
        settings.home() / "dags",
        settings.home() / "plugins",
        server.url("airflow"),
        expected_dags=tuple(
            f"{each.portfolio}_{stage}" for each in portfolios for stage in stages_of(each)
        ),
        environment=_connections(url),
        is_detached=is_detached,
        beside=stream_commands(portfolios) if is_detached else {},
    )


def _connections(url: str) -> dict[str, str]:
    """Return environment variables that define Airflow's connections to the portfolio database.

    Tasks use the connection `loan_scoring`, and pages use `loan_scoring_reader`. If
    LOAN_SCORING_DATABASE_URL is set, `loan_scoring_reader` is left out, because only the user knows
    the password of that database's reader role. The user then defines this connection.
    """
    found = {"AIRFLOW_CONN_LOAN_SCORING": url}
    if settings.database_url() is None:
        found["AIRFLOW_CONN_LOAN_SCORING_READER"] = embedded().url(database.READER)
    return found
