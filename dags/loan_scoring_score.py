"""Score: cut a published batch into mini-batches, score them in parallel, publish all at once."""

from collections.abc import Iterable

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from loan_scoring import contract
from loan_scoring.contract import Contract
from loan_scoring_assets import applications, scores
from loan_scoring_notify import notify_at_the_end
from loan_scoring_wiring import BATCH_PARAMS, DEFAULT_ARGS, batch_id, task_session


def build(of: Contract) -> DAG:
    """Return the score DAG of a portfolio: one run for each batch that ingest publishes."""
    portfolio = of.portfolio
    with DAG(
        dag_id=f"{portfolio}_score",
        schedule=PartitionedAssetTimetable(assets=applications(portfolio)),
        catchup=False,
        default_args={**DEFAULT_ARGS, "owner": of.owner},
        params=BATCH_PARAMS,
        tags=["loan-scoring", portfolio, "score"],
        doc_md=f"Scores a batch of **{of.title}** with the champions. Clear or rerun any task: "
        "rows are neither lost nor doubled, and readers see all of a batch or nothing.",
    ) as dag:

        @task
        def plan() -> list[dict[str, str | int]]:
            """Plan the batch's scoring run; return its mini-batches, each for one task."""
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
            """Score one mini-batch in one transaction; return the run's id."""
            from loan_scoring.scoring.batch import score_mini_batch

            with task_session(portfolio, batch_id()) as (session, work):
                work.rows = score_mini_batch(session, run_id, mini_batch)
            return run_id

        @task(outlets=[scores(portfolio)])
        def publish(run_ids: Iterable[str], outlet_events=None) -> None:
            """Make the run, the one that every mini-batch names, current once counts reconcile."""
            from loan_scoring.scoring.batch import publish_scores

            with task_session(portfolio, batch_id()) as (session, work):
                work.rows = publish_scores(session, next(iter(run_ids)))
            outlet_events[scores(portfolio)].add_partitions(batch_id())

        publish(score.expand_kwargs(plan()))
        notify_at_the_end(of, dag)
    return dag


for name in contract.names():
    globals()[f"{name}_score"] = build(contract.load(name))
