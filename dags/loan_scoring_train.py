"""Define the DAG `train`, which cross-validates candidates, fits a pair and judges the pair."""

import logging
from collections.abc import Iterable
from datetime import timedelta

from airflow.sdk import DAG, AssetOrTimeSchedule, task

from loan_scoring.contract import Contract
from loan_scoring_after_training import last_steps
from loan_scoring_assets import retrain_request
from loan_scoring_hold import ask_a_person, promote_param, triggered_by
from loan_scoring_pages import page_address
from loan_scoring_tasks import task_session
from loan_scoring_wiring import by_clock, contracts, stage_dag

log = logging.getLogger(__name__)

# A trial uses one core and 0.5 GB of memory. More trials at once than the machine has cores would
# need more memory and save no time.
TRIALS_AT_ONCE = 4
LIMIT = timedelta(hours=6)  # far more than the minutes that 90,000 loans take on two cores


def build(contract: Contract) -> DAG:
    """Return the DAG `train` of a portfolio. A schedule or a retrain request starts a run."""
    portfolio = contract.portfolio
    with stage_dag(
        contract,
        "train",
        __file__,
        schedule=AssetOrTimeSchedule(
            timetable=by_clock(contract, contract.schedules.train),
            assets=[retrain_request(portfolio)],
        ),
        max_active_runs=1,
        default_args={"execution_timeout": LIMIT},
        params={"promote": promote_param(contract)},
        doc_md="Cross-validates the candidates for the propensity model of "
        f"**{contract.title}**, one task each. Fits the chosen one and the personas, measures them "
        "on an untouched hold-out, and promotes them where they pass every gate. With `promote: "
        "hold` a person is asked first, under *Required actions*; no answer within "
        f"{contract.promotion.answer_within_hours:g} hours leaves the champions in use.",
    ) as dag:

        @task
        def plan(params=None) -> list[dict[str, str]]:
            """Save the training rows, check for leaks, and return the arguments of each trial."""
            from loan_scoring.models.promotion.known_pair import known_pair_sentence
            from loan_scoring.models.training.run import plan_training

            with task_session(portfolio) as (session, work):
                planned = plan_training(session)
                work.rows = planned.applications
                if known := known_pair_sentence(session, planned.fingerprint, params["promote"]):
                    log.warning("%s", known)
            return [{"fingerprint": planned.fingerprint, "trial": each} for each in planned.trials]

        @task(
            max_active_tis_per_dagrun=TRIALS_AT_ONCE,
            map_index_template="{{ task.op_kwargs['trial'] }}",
        )
        def cross_validate(fingerprint: str, trial: str) -> str:
            """Cross-validate one trial and record the result. Return the rows' fingerprint."""
            from loan_scoring.models.training.run import try_trial

            with task_session(portfolio) as (session, work):
                work.rows = try_trial(session, fingerprint, trial)
            return fingerprint

        @task
        def fit(fingerprints: Iterable[str]) -> dict[str, str]:
            """Fit and register a pair, and write its card. Return the versions by kind."""
            from loan_scoring.models.card.content import write_card
            from loan_scoring.models.training.run import finish_training

            with task_session(portfolio) as (session, work):
                versions, work.rows = finish_training(
                    session, next(iter(fingerprints)), triggered_by()
                )
                write_card(session, versions["propensity"])
            return versions

        @task.short_circuit(ignore_downstream_trigger_rules=False)
        def judge(versions: dict[str, str], params=None) -> dict:
            """Judge the pair by the gates. Promote or refuse the pair, unless a person must decide.

            If a person must decide, return the versions, the evidence and the comparison for the
            task `ask`. Otherwise return an empty dict, so that Airflow skips `ask` and `record`.
            """
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

        fitted = fit(cross_validate.expand_kwargs(plan()))
        last_steps(contract, fitted, ask_a_person(contract, judge(fitted)))
    return dag


for each in contracts():
    globals()[f"{each.portfolio}_train"] = build(each)
