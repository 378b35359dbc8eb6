"""Define the DAG `federated`, which trains one model at several sites that share no rows."""

from datetime import timedelta

from airflow.sdk import DAG, get_current_context, task

from loan_scoring.contract import Contract
from loan_scoring_hold import ask_a_person, promote_param, triggered_by
from loan_scoring_pages import page_address
from loan_scoring_tasks import connection_url, task_session
from loan_scoring_wiring import contracts, stage_dag

LIMIT = timedelta(hours=6)  # sites may be slow, and waiting holds no worker
EVERY = timedelta(seconds=20)


def build(contract: Contract) -> DAG:
    """Return the DAG `federated` of a portfolio. A person starts a run."""
    portfolio = contract.portfolio
    with stage_dag(
        contract,
        "federated",
        __file__,
        schedule=None,
        max_active_runs=1,
        params={"promote": promote_param(contract)},
        doc_md=f"Trains one model for **{contract.title}** at several sites, from which no loan "
        "leaves. Registers it as a challenger and judges it as any other: gates, shadow nights, a "
        "person where the contract asks for one.",
    ) as dag:

        @task(retries=2)
        def start() -> str:
            """Start a run, and return its name. Another try finds the run of the first one."""
            from loan_scoring.federated.service import start_run

            with task_session(portfolio) as (session, _):
                url = connection_url("loan_scoring") or ""
                return start_run(session.contract, url, get_current_context()["dag_run"].run_id)

        @task.sensor(
            mode="reschedule", poke_interval=EVERY.total_seconds(), timeout=LIMIT.total_seconds()
        )
        def wait(run: str) -> bool:
            """Return whether the run has ended. Between two looks no worker is held."""
            from loan_scoring.federated.service import is_finished

            with task_session(portfolio):
                return is_finished(portfolio, run)

        @task
        def register(run: str) -> dict[str, str]:
            """Register the model with personas, and write its card. Return the versions by kind."""
            from loan_scoring.federated.register import compare_result, register_result
            from loan_scoring.federated.service import read_result
            from loan_scoring.models.card.content import write_card

            with task_session(portfolio) as (session, work):
                result = read_result(portfolio, run)
                compared = compare_result(session, result)
                versions = register_result(session, result, compared, triggered_by())
                work.rows = result["loans"]
                write_card(session, versions["propensity"])
            return versions

        @task.short_circuit(ignore_downstream_trigger_rules=False)
        def judge(versions: dict[str, str], params=None) -> dict:
            """Judge the pair by the gates: refuse it, put it into shadow, promote it, or ask."""
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

        run = start()
        registered = register(run)
        wait(run) >> registered
        ask_a_person(contract, judge(registered))
    return dag


for each in contracts():
    if each.federated is not None:
        globals()[f"{each.portfolio}_federated"] = build(each)
