"""Define the DAG `shadow`, which scores a published night with the challenger in shadow."""

from collections.abc import Iterable

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from loan_scoring.contract import Contract
from loan_scoring_assets import scores
from loan_scoring_hold import ask_a_person
from loan_scoring_pages import page_address
from loan_scoring_tasks import batch_id, task_session
from loan_scoring_wiring import BATCH_PARAMS, contracts, stage_dag


def build(contract: Contract) -> DAG:
    """Return the DAG `shadow` of a portfolio. Every publication of scores starts a run.

    It is a DAG of its own, so that its failure is an alert, and never a failed night.
    """
    portfolio = contract.portfolio
    with stage_dag(
        contract,
        "shadow",
        __file__,
        schedule=PartitionedAssetTimetable(assets=scores(portfolio)),
        params=BATCH_PARAMS,
        doc_md=f"Scores a night of **{contract.title}** with the challenger in shadow, if there is "
        "one. Readers never see these scores. `shadow_comparison` compares them with the "
        f"champion's. After {contract.promotion.shadow_nights} nights the challenger is judged.",
    ) as dag:

        @task
        def plan() -> list[dict[str, str | int]]:
            """Plan the challenger's run, in the mini-batches of the night.

            Return the arguments of one task `score` for each mini-batch; none without a challenger.
            """
            from loan_scoring.scoring.shadow import plan_shadow

            with task_session(portfolio, batch_id()) as (session, work):
                planned = plan_shadow(session, batch_id())
                if planned is None:
                    return []
                work.rows = planned.applications
            return [
                {"run_id": planned.scoring_run_id, "mini_batch": mini_batch}
                for mini_batch in planned.mini_batches
            ]

        @task
        def score(run_id: str, mini_batch: int) -> str:
            """Score one mini-batch in one transaction. Return the id of the challenger's run."""
            from loan_scoring.scoring.mini_batch import score_mini_batch

            with task_session(portfolio, batch_id()) as (session, work):
                work.rows = score_mini_batch(session, run_id, mini_batch)
            return run_id

        @task.short_circuit(ignore_downstream_trigger_rules=False)
        def judge(run_ids: Iterable[str]) -> dict:
            """Compare the night with the champion's, and judge the challenger after enough nights.

            If a person must decide, return the versions, the evidence and the comparison for the
            task `ask`. Otherwise return an empty dict, so that Airflow skips `ask` and `record`.
            """
            from loan_scoring.models.promotion.comparison import render_comparison
            from loan_scoring.monitoring.shadow.judge import judge_shadow
            from loan_scoring.monitoring.shadow.nights import compare_night

            with task_session(portfolio, batch_id()) as (session, work):
                work.rows = compare_night(session, next(iter(run_ids)))
                case = judge_shadow(session, batch_id())
                if case["verdict"] != "held":
                    return {}
                shown = render_comparison(session, case["evidence"])
            version = case["versions"]["propensity"]
            card = page_address(f"models/{portfolio}_train/{version}")
            return case | {"comparison": f"{shown}\n\n[The model card of {version}]({card})"}

        ask_a_person(contract, judge(score.expand_kwargs(plan())), in_shadow=True)
    return dag


for each in contracts():
    if each.promotion.shadow_nights:
        globals()[f"{each.portfolio}_shadow"] = build(each)
