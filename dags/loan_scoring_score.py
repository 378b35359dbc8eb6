"""Define the DAG `score`, which scores a batch in mini-batches and publishes all scores at once."""

from collections.abc import Iterable

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring_assets import applications, scores
from loan_scoring_tasks import batch_id, task_session
from loan_scoring_wiring import BATCH_PARAMS, contracts, stage_dag


def build(contract: Contract) -> DAG:
    """Return the DAG `score` of a portfolio. Each batch that `ingest` publishes starts a run."""
    portfolio = contract.portfolio
    with stage_dag(
        contract,
        "score",
        __file__,
        schedule=PartitionedAssetTimetable(assets=applications(portfolio)),
        params=BATCH_PARAMS,
        doc_md=f"Scores a batch of **{contract.title}** with the champions. Clear or rerun any "
        "task: rows are neither lost nor doubled, and readers see all of a batch or nothing.",
    ) as dag:

        @task
        def plan() -> list[dict[str, str | int]]:
            """Plan the scoring run of the batch, and divide the batch into mini-batches.

            Return the arguments of one task `score` for each mini-batch.
            """
            from loan_scoring.scoring.batch import plan_scoring

            with task_session(portfolio, batch_id()) as (session, work):
                planned = plan_scoring(session, batch_id())
                work.rows = planned.applications
            return [
                {"run_id": planned.scoring_run_id, "mini_batch": mini_batch}
                for mini_batch in planned.mini_batches
            ]

        @task
        def score(run_id: str, mini_batch: int) -> str:
            """Score one mini-batch in one transaction. Return the id of the scoring run."""
            from loan_scoring.scoring.mini_batch import score_mini_batch

            with task_session(portfolio, batch_id()) as (session, work):
                work.rows = score_mini_batch(session, run_id, mini_batch)
            return run_id

        @task
        def score_on_spark(planned: list[dict]) -> list[str]:
            """Score all mini-batches on Spark, by a driver that this task starts and waits for."""
            from loan_scoring.scoring.engine import score_on_spark

            run_id = planned[0]["run_id"]
            with task_session(portfolio, batch_id()) as (session, work):
                work.rows = score_on_spark(session, run_id)
            return [run_id]

        @task(outlets=[scores(portfolio)])
        def publish(run_ids: Iterable[str], outlet_events=None) -> None:
            """Make the scoring run the current scoring run of its batch.

            The task fails if a mini-batch is not scored, or if the number of scores differs from
            the number of applications.

            Args:
                run_ids: id of the scoring run, repeated once for each mini-batch.
                outlet_events: events of the updated assets. Airflow passes this argument.
            """
            from loan_scoring.scoring.batch import publish_scores

            with task_session(portfolio, batch_id()) as (session, work):
                work.rows = publish_scores(session, next(iter(run_ids)), f"airflow:{dag.dag_id}")
            outlet_events[scores(portfolio)].add_partitions(batch_id())

        planned = plan()
        is_spark = (settings.engine() or contract.scoring.engine) == "spark"
        publish(score_on_spark(planned) if is_spark else score.expand_kwargs(planned))
    return dag


for each in contracts():
    globals()[f"{each.portfolio}_score"] = build(each)
