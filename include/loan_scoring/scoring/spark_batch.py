"""Score a planned run on Spark: its mini-batches are distributed over the executors.

Each mini-batch is scored and written by `score_mini_batch`, in one transaction, as a task of
Airflow does it. So a worker may be killed at any moment, and a mini-batch may be tried twice.

Executors read the URL of the database from their own environment, never from the driver: Spark
shows settings to everyone who may open its pages.
"""

from contextlib import closing
from typing import Any

from loan_scoring import contract as contracts
from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import StateError
from loan_scoring.scoring.mini_batch import score_mini_batch
from loan_scoring.scoring.spark_session import spark_errors, spark_session


def score_run(portfolio: str, run_id: str) -> dict[str, Any]:
    """Score the mini-batches of a run that are not scored yet. Return their number.

    Raises:
        ContractError: the portfolio has no contract, or the contract is not valid.
        StateError: there is no such run, the database is not named, or Spark gave up.
    """
    contract = contracts.load(portfolio)
    with (
        open_session(portfolio, executor_url()) as session,
        database.transaction(session.connection),
    ):
        found = database.rows(session.connection, "select_mini_batches", scoring_run_id=run_id)
    if not found:
        raise StateError(f"there is no scoring run {run_id}; run score for its batch")
    waiting = [row["mini_batch"] for row in found if row["state"] != "scored"]

    def score(mini_batch: int) -> str | None:
        return score_on_executor(contract, run_id, mini_batch)

    if waiting:
        with spark_errors(), spark_session(run_id) as spark:
            slices = spark.sparkContext.parallelize(waiting, len(waiting))
            errors = [error for error in slices.map(score).collect() if error is not None]
        if errors:
            raise StateError(errors[0])
    return {"scoring_run_id": run_id, "mini_batches": len(waiting)}


def score_on_executor(contract: Contract, run_id: str, mini_batch: int) -> str | None:
    """Score a mini-batch on a connection of its own. Return None, or what a retry cannot cure.

    Spark tries what failed again, and wraps errors into pages. An error that is returned is
    neither tried again nor wrapped.
    """
    try:
        with closing(database.connect(contract.portfolio, executor_url())) as connection:
            score_mini_batch(Session(contract, connection), run_id, mini_batch)
    except StateError as error:
        return str(error)
    return None


def executor_url() -> str:
    """Return the database URL of this process's environment.

    Raises:
        StateError: LOAN_SCORING_DATABASE_URL is not set.
    """
    found = settings.database_url()
    if found is None:
        raise StateError(
            "LOAN_SCORING_DATABASE_URL is not set in the environment of Spark's driver or of an "
            "executor; set it there (docs/spark.md)"
        )
    return found
