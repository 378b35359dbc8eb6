"""Hold: ask a person in the Airflow UI whether a pair of models comes into use."""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, task

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring_wiring import task_session

VERDICTS = {"Promote": "promoted", "Reject": "rejected"}


def promote_param(of: Contract) -> Param:
    """Return the param by which one run overrides the contract; a run's value stays in it."""
    return Param(
        None,
        type=["null", "string"],
        enum=[None, "auto", "hold"],
        description="auto: gates decide alone; hold: a person has the last word; "
        f"empty: {settings.promotion_mode() or of.promotion.mode}, as this environment has it",
    )


def ask_a_person(of: Contract, case: Any) -> Any:
    """Return the task that records what a person said of a case, after the one that asks.

    `case` is the task that judges: its result has versions, evidence and comparison.
    """
    # Whom nobody answered is told from a Reject by having no user; see record.
    ask = HITLOperator(
        task_id="ask",
        subject=of.title + ": promote {{ ti.xcom_pull('judge')['versions']['propensity'] }}?",
        body="{{ ti.xcom_pull('judge')['comparison'] }}",
        options=list(VERDICTS),
        defaults="Reject",
        params={"comment": Param("", type="string", description="Why; stands in promotions")},
        response_timeout=timedelta(hours=of.promotion.answer_within_hours),
        execution_timeout=None,
    )

    @task
    def record(case: dict, answer: dict) -> str:
        """Record what the person decided, or that nobody did; return the verdict."""
        from loan_scoring.models.promotion.decide import apply_verdict

        user = answer["responded_by_user"]
        verdict = "timed_out" if user is None else VERDICTS[answer["chosen_options"][0]]
        by = "nobody" if user is None else f"airflow:{user['name']}"
        comment = (answer["params_input"].get("comment") or None) if user else None
        with task_session(of.portfolio) as (session, _):
            return apply_verdict(
                session, case["versions"], verdict, by, case["evidence"], comment=comment
            )

    case >> ask
    return record(case, ask.output)
