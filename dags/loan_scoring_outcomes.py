"""Define the DAG `outcomes`, which ingests landed outcomes and measures performance again."""

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

from loan_scoring.contract import Contract
from loan_scoring_retraining import retrain_where_drift_lasts
from loan_scoring_tasks import batch_id, task_session
from loan_scoring_wiring import BATCH_PARAMS, contracts, nightly, stage_dag


def build(contract: Contract) -> DAG:
    """Return the DAG `outcomes` of a portfolio. The partition key of a run is the file's date."""
    portfolio = contract.portfolio
    with stage_dag(
        contract,
        "outcomes",
        __file__,
        schedule=nightly(contract, contract.schedules.outcomes),
        params=BATCH_PARAMS,
        doc_md=f"Takes in the outcomes of **{contract.title}** that landed for a date. A day "
        "without a file is skipped. `performance` then holds what they show of the scored "
        "batches.",
    ) as dag:

        @task
        def take() -> None:
            """Ingest the outcomes file of the date, then the correction file of the date.

            The task is skipped if no file has landed for the date.
            """
            from loan_scoring.ingest.outcome_files import find_outcome_files
            from loan_scoring.ingest.outcomes import Declaration, take_outcomes

            by = Declaration(f"airflow:{dag.dag_id}")
            with task_session(portfolio, batch_id()) as (session, work):
                files = find_outcome_files(session.contract, batch_id())
                taken = [take_outcomes(session, source, by) for source in files]
                work.rows = sum(each.received for each in taken)
            if not files:
                raise AirflowSkipException(f"no outcomes landed for {batch_id()}")

        # With this trigger rule, `restate` also runs if `take` was skipped. This is needed because
        # an earlier run may have been killed after `take`, so that its outcomes are not measured.
        @task(trigger_rule="none_failed")
        def restate() -> list[str]:
            """Measure performance again for scored batches that have new or changed outcomes.

            Return the ids of the scoring runs that were measured again.
            """
            from loan_scoring.monitoring.performance.restate import restate_performance
            from loan_scoring.monitoring.shadow.nights import refresh_or_warn

            with task_session(portfolio) as (session, _):
                restated = restate_performance(session)
                if contract.promotion.shadow_nights:
                    refresh_or_warn(session, batch_id())
                return restated

        take() >> restate() >> retrain_where_drift_lasts(portfolio, "concept")
    return dag


for each in contracts():
    globals()[f"{each.portfolio}_outcomes"] = build(each)
