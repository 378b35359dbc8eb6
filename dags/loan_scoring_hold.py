"""Add tasks that ask a person in Airflow's UI whether to promote a pair, and record the verdict."""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring_tasks import task_session

VERDICTS = {"Promote": "promoted", "Reject": "rejected"}


def promote_param(contract: Contract) -> Param:
    """Return the DAG param `promote`, which sets the promotion mode of a single run.

    If the param is empty, LOAN_SCORING_PROMOTION or else the contract sets the mode. If this
    variable is `hold`, a run cannot ask for `auto`.
    """
    is_held = settings.promotion_mode() == "hold"
    return Param(
        None,
        type=["null", "string"],
        enum=[None, "hold"] if is_held else [None, "auto", "hold"],
        description=f"{'' if is_held else 'auto: the gates decide alone; '}hold: a person decides, "
        "also about a pair that was rejected before; "
        f"empty: {settings.promotion_mode() or contract.promotion.mode}, the mode set here. Rows "
        "that an earlier training had are not fitted again, and of a pair in use nobody is asked"
        + (
            "; a new pair first scores beside the champion" * bool(contract.promotion.shadow_nights)
        ),
    )


def triggered_by() -> str | None:
    """Return who triggered the running training, or None if nobody did."""
    name = get_current_context()["dag_run"].triggering_user_name
    return None if name is None else f"airflow:{name}"


def ask_a_person(contract: Contract, judged: Any, *, in_shadow: bool = False) -> Any:
    """Add the task `ask`, which asks a person, and the task `record`. Return the task `record`.

    Args:
        contract: the portfolio's contract.
        judged: the task `judge`, which runs before `ask`. If a person must decide, the result of
            `judge` is a dict with the keys `versions`, `evidence` and `comparison`.
        in_shadow: whether the pair was judged after its nights beside the champion.
    """
    ask = HITLOperator(
        task_id="ask",
        subject=contract.title + ": promote {{ ti.xcom_pull('judge')['versions']['propensity'] }}?",
        body="{{ ti.xcom_pull('judge')['comparison'] }}",
        options=list(VERDICTS),
        defaults="Reject",
        params={"comment": Param("", type="string", description="Why; kept in table promotions")},
        response_timeout=timedelta(hours=contract.promotion.answer_within_hours),
        execution_timeout=None,
    )

    @task
    def record(case: dict, answer: dict) -> str:
        """Record the verdict on the pair, and return the recorded verdict.

        The verdict is the person's decision, or `timed_out` if nobody decided in time. Whoever
        started the training cannot approve. The API server refuses such an answer, and this task
        refuses it again, for an answer that came another way.
        """
        from loan_scoring.errors import StateError
        from loan_scoring.models.promotion.decide import apply_verdict
        from loan_scoring.models.promotion.rights import refuse_own_training
        from loan_scoring.monitoring.shadow.judge import advance

        # If nobody responds in time, Airflow itself chooses `Reject` and names no user. Then
        # the verdict is `timed_out`, because no person rejected the pair.
        user = answer["responded_by_user"]
        verdict = "timed_out" if user is None else VERDICTS[answer["chosen_options"][0]]
        by = "nobody" if user is None else f"airflow:{user['name']}"
        comment = (answer["params_input"].get("comment") or None) if user else None
        with task_session(contract.portfolio) as (session, _):
            if verdict == "promoted":
                try:
                    refuse_own_training(session, case["versions"], by, triggered_by())
                except StateError as error:
                    raise AirflowFailException(
                        f"{error}; clear the task ask, and let another person answer"
                    ) from error
            if in_shadow:
                return advance(session, case, verdict, by, comment)
            return apply_verdict(
                session, case["versions"], verdict, by, case["evidence"], comment=comment
            )

    judged >> ask
    return record(judged, ask.output)
