"""Train: fit models on every labelled application, and promote them where they are better."""

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, task

from loan_scoring import contract
from loan_scoring.contract import Contract
from loan_scoring_assets import retrain_request
from loan_scoring_wiring import DEFAULT_ARGS, NOT_IN_ARREARS, task_session


def build(of: Contract) -> DAG:
    """Return the train DAG of a portfolio: weekly, and whenever retraining is asked for."""
    portfolio = of.portfolio
    with DAG(
        dag_id=f"{portfolio}_train",
        schedule=AssetOrTimeSchedule(
            timetable=CronTriggerTimetable(
                of.schedules.train,
                timezone=of.schedules.timezone,
                run_immediately=NOT_IN_ARREARS,
            ),
            assets=[retrain_request(portfolio)],
        ),
        catchup=False,
        max_active_runs=1,
        default_args={**DEFAULT_ARGS, "owner": of.owner},
        tags=["loan-scoring", portfolio, "train"],
        doc_md=f"Fits the propensity and persona models of **{of.title}**, measures them on an "
        "untouched hold-out, and promotes them where they beat the champions.",
    ) as dag:

        @task
        def fit() -> dict[str, str]:
            """Fit and register a pair of models; return their versions by kind."""
            from loan_scoring import training

            with task_session(portfolio) as (session, work):
                versions, work.rows = training.fit(session)
            return versions

        @task
        def promote(versions: dict[str, str]) -> str:
            """Judge the pair against the champions; return the recorded verdict."""
            from loan_scoring import promotion

            with task_session(portfolio) as (session, _):
                return promotion.promote(session, versions)

        promote(fit())
    return dag


for name in contract.names():
    globals()[f"{name}_train"] = build(contract.load(name))
