"""List what is left to do until a new portfolio is scored every night, with the exact commands."""

from dataclasses import dataclass

from loan_scoring import database, settings
from loan_scoring.contract import HISTORY, Contract
from loan_scoring.database.session import Session
from loan_scoring.models.registry import PROPENSITY


@dataclass(frozen=True)
class Step:
    """Something to do, with its commands."""

    text: str
    commands: tuple[str, ...]
    is_done: bool


def read_next_steps(session: Session) -> list[Step]:
    """Return the steps of a portfolio that has tables."""
    connection = session.connection
    with database.transaction(connection):
        history = database.row(connection, "select_current_batch", batch_id=HISTORY)
        champions = database.rows(connection, "select_champions")
    has_champion = any(row["kind"] == PROPENSITY for row in champions)
    return next_steps(session.contract, (True, history is not None, has_champion))


def next_steps(contract: Contract, done: tuple[bool, bool, bool]) -> list[Step]:
    """Return the steps of a portfolio without a scored night.

    Args:
        contract: contract of the portfolio.
        done: whether the tables exist, whether the history is ingested, and whether there is a
            champion.
    """
    portfolio = contract.portfolio
    of = f"--portfolio {portfolio}"
    night = f"{of} --batch YYYY-MM-DD"
    folder = settings.landing_dir(portfolio) / "applications"
    return [
        Step("Create the tables.", ("loan-scoring migrate",), done[0]),
        Step(
            "Ingest the history: a file of past loans with their outcomes.",
            (f"loan-scoring ingest {of} --batch history --source FILE",),
            done[1],
        ),
        Step(
            "See which columns reveal the outcome, then train the first models.",
            (f"loan-scoring leaks {of}", f"loan-scoring train {of}"),
            done[2],
        ),
        Step(
            f"Put each night's file into {folder} as YYYY-MM-DD.csv. Airflow takes and scores it "
            f"at its time ({contract.schedules.ingest}, {contract.schedules.timezone}). Without "
            "Airflow:",
            tuple(f"loan-scoring {stage} {night}" for stage in ("ingest", "score", "metrics")),
            False,
        ),
    ]
