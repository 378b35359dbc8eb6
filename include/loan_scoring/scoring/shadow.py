"""Score a published night with the challenger in shadow, into a table that no reader sees."""

import logging

from loan_scoring import database
from loan_scoring.database.partitions import ensure_partition
from loan_scoring.database.session import Session
from loan_scoring.models.promotion.shadows import reconcile_shadow
from loan_scoring.scoring.batch import ScoringPlan
from loan_scoring.scoring.mini_batch import score_mini_batch

log = logging.getLogger(__name__)


def plan_shadow(session: Session, batch_id: str) -> ScoringPlan | None:
    """Plan the scoring of a published batch with the challenger in shadow. Return the plan.

    The shadow has the applications, the policy and the mini-batches of the batch's current run. Its
    id is derived from this run and the challenger, so a second call returns the same plan.

    Return None if there is nothing to do: no challenger is in shadow, the batch has no current run
    or no applications, or the run is of another champion than the one with which the challenger is
    compared.

    Raises:
        GoneError: retention has dropped rows of the batch.
    """
    shadow = reconcile_shadow(session)
    with database.transaction(session.connection):
        run = database.row(session.connection, "select_current_run", batch_id=batch_id)
    if shadow is None or run is None or not run["applications"]:
        return None
    if run["propensity_version"] != shadow.champion:
        log.info("%s was scored by %s: no shadow", batch_id, run["propensity_version"])
        return None
    run_id = f"{run['scoring_run_id']}-shadow-{shadow.propensity}-{shadow.personas}"
    ensure_partition(session.connection, "shadow_scores", batch_id)
    with database.transaction(session.connection):
        database.execute(
            session.connection,
            "insert_shadow_run",
            shadow_run_id=run_id,
            scoring_run_id=run["scoring_run_id"],
            propensity_version=shadow.propensity,
            personas_version=shadow.personas,
        )
        found = database.rows(session.connection, "select_mini_batches", scoring_run_id=run_id)
    return ScoringPlan(run_id, run["applications"], [row["mini_batch"] for row in found])


def score_shadow(session: Session, batch_id: str) -> str | None:
    """Plan and score the shadow of a batch in this process. Return the id of its run, or None."""
    planned = plan_shadow(session, batch_id)
    if planned is None:
        return None
    for mini_batch in planned.mini_batches:
        score_mini_batch(session, planned.scoring_run_id, mini_batch)
    return planned.scoring_run_id
