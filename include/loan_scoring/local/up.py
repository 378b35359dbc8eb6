"""Start and stop Postgres and Airflow, which run in the background."""

from loan_scoring import contract, settings
from loan_scoring.database.session import open_session
from loan_scoring.local.airflow_environment import airflow_passwords
from loan_scoring.local.airflow_stack import airflow_stack
from loan_scoring.local.airflow_status import folder_of
from loan_scoring.local.detached import start_detached, stop_detached
from loan_scoring.local.postgres import embedded, portfolio_database_url
from loan_scoring.local.streams import stream_lines


def start_services() -> str:
    """Start all services in the background. Return a text with URLs and Airflow's login."""
    portfolios, broken = contract.load_all()
    url = portfolio_database_url()
    for each in portfolios:
        with open_session(each.portfolio, url):
            pass  # opening a session creates the tables, which analysts need before the first night
    running = start_detached(airflow_stack(portfolios, url))
    password = airflow_passwords(folder_of(settings.state_dir()))["admin"]
    return "\n".join(
        [
            f"Airflow   {running.url}",
            f"user      admin, password {password}   (of op and viewer in {running.password_file})",
            *stream_lines(portfolios),
            "MLflow    .venv/bin/loan-scoring models mlflow shows trials and models",
            "database  .venv/bin/loan-scoring status prints its URL for psql",
            "stop      make down",
            *(f"broken    {why}" for why in broken.values()),
        ]
    )


def stop_services() -> str:
    """Stop Airflow and the embedded Postgres. Return a text that names the stopped services."""
    server = embedded()
    ended = ["Airflow"] if stop_detached(settings.state_dir()) else []
    if server.is_running():
        server.stop()
        ended.append("Postgres")
    return f"stopped: {', '.join(ended)}" if ended else "nothing was running"
