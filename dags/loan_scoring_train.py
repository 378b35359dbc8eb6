"""Train: try candidates on the labelled applications, fit the chosen one, promote the better."""

from collections.abc import Iterable
from datetime import timedelta

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, task

from loan_scoring import contract
from loan_scoring.contract import Contract
from loan_scoring_assets import retrain_request
from loan_scoring_hold import ask_a_person, promote_param
from loan_scoring_notify import notify_at_the_end
from loan_scoring_wiring import DEFAULT_ARGS, NOT_IN_ARREARS, page_address, task_session

# Each trial takes one core and half a gigabyte; more at once than cores helps nobody.
TRIALS_AT_ONCE = 4
LONGEST = timedelta(hours=6)  # 90,000 loans take two cores minutes


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
        default_args={**DEFAULT_ARGS, "owner": of.owner, "execution_timeout": LONGEST},
        params={"promote": promote_param(of)},
        tags=["loan-scoring", portfolio, "train"],
        doc_md=f"Cross-validates the candidates for the propensity model of **{of.title}**, a task "
        "each, fits the chosen one and the personas, measures them on an untouched hold-out, and "
        "promotes them where they pass every gate. With `promote: hold` a person is asked first, "
        "under *Required actions*; no answer in "
        f"{of.promotion.answer_within_hours:g} hours leaves the champions in use.",
    ) as dag:

        @task
        def plan() -> list[dict[str, str]]:
            """Freeze the rows, pass the leak gate; return the trials, each for one task."""
            from loan_scoring.models.training.run import plan_training

            with task_session(portfolio) as (session, work):
                planned = plan_training(session)
                work.rows = planned.applications
            return [
                {"fingerprint": planned.fingerprint, "trial": trial} for trial in planned.trials
            ]

        @task(
            max_active_tis_per_dagrun=TRIALS_AT_ONCE,
            map_index_template="{{ task.op_kwargs['trial'] }}",
        )
        def cross_validate(fingerprint: str, trial: str) -> str:
            """Cross-validate one trial and record it; return the training's fingerprint."""
            from loan_scoring.models.training.run import try_trial

            with task_session(portfolio) as (session, work):
                work.rows = try_trial(session, fingerprint, trial)
            return fingerprint

        @task
        def fit(fingerprints: Iterable[str]) -> dict[str, str]:
            """Fit what the trials decide and register the pair; return versions by kind."""
            from loan_scoring.models.card.content import write_card
            from loan_scoring.models.training.run import finish_training

            with task_session(portfolio) as (session, work):
                versions, work.rows = finish_training(session, next(iter(fingerprints)))
                write_card(session, versions["propensity"])
            return versions

        @task.short_circuit(ignore_downstream_trigger_rules=False)
        def judge(versions: dict[str, str], params=None) -> dict:
            """Judge the pair and record the verdict; where a person decides, return the case."""
            from loan_scoring.models.promotion.comparison import render_comparison
            from loan_scoring.models.promotion.decide import judge_and_promote

            with task_session(portfolio) as (session, _):
                verdict, evidence = judge_and_promote(session, versions, params["promote"])
                if verdict != "held":
                    return {}
                shown = render_comparison(session, evidence)
            version = versions["propensity"]
            card = page_address(f"models/{portfolio}_train/{version}")
            shown += f"\n\n[The model card of {version}]({card})"
            return {"versions": versions, "evidence": evidence, "comparison": shown}

        @task(trigger_rule="none_failed")
        def mirror() -> None:
            """Show trials, models and champions in MLflow; nothing waits for it."""
            from loan_scoring.models.mlflow_mirror import mirror_models

            with task_session(portfolio) as (session, work):
                mirrored = mirror_models(session)
                work.rows = mirrored.trials + mirrored.models

        case = judge(fit(cross_validate.expand_kwargs(plan())))
        ask_a_person(of, case) >> mirror()
        notify_at_the_end(of, dag)
    return dag


for name in contract.names():
    globals()[f"{name}_train"] = build(contract.load(name))
