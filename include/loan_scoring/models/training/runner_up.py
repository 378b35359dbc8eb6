"""Fit the runner-up of a training, which scores beside the champion from its first night on."""

import hashlib
import logging

from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.promotion.decide import POLICY
from loan_scoring.models.promotion.shadows import begin_shadow, open_shadow
from loan_scoring.models.registry import PERSONAS, PROPENSITY
from loan_scoring.models.training.cross_validation import TrialError, TrialResult
from loan_scoring.models.training.fit import champion_personas, fit_pair
from loan_scoring.models.training.rows import delete_rows, load_rows
from loan_scoring.models.training.run import describe_training
from loan_scoring.models.training.tree_gate import pass_tree_gate
from loan_scoring.models.training.trials import record_failure, recorded_trials

log = logging.getLogger(__name__)


def shadow_runner_up(
    session: Session, versions: dict[str, str], triggered_by: str | None = None
) -> dict[str, str] | None:
    """Fit the runner-up of a training and put it into shadow. Return its versions by kind.

    Nothing is cross-validated again, and the personas are those of the training. A failure to fit
    is recorded, and is no failure of the training.

    Return None if the contract does not ask for a runner-up, the pair is not the portfolio's first
    champion, a challenger is in shadow, or no other trial could be fitted.

    Args:
        session: database session.
        versions: versions of the pair that the training registered, by kind.
        triggered_by: as for `train`.

    Raises:
        StateError: the rows of the training cannot be loaded.
    """
    policy, chosen = session.contract.promotion, registry.model_row(session, versions[PROPENSITY])
    in_use = registry.champion_version(session, PROPENSITY)
    history = registry.replaced_any(session, PROPENSITY)
    if not policy.shadow_runner_up or in_use != versions[PROPENSITY] or history:
        return None
    if open_shadow(session) is not None:
        return None
    fingerprint = chosen["fingerprint"]
    second = runner_up(recorded_trials(session, fingerprint), chosen["metrics"]["trial"])
    if second is None:
        return None
    own = hashlib.sha256(f"{fingerprint}:{second.trial.name}".encode()).hexdigest()
    pair = registry.versions_by_fingerprint(session, own)
    people = registry.model_row(session, versions[PERSONAS])
    if not pair:
        training = pass_tree_gate(session.contract, load_rows(session, fingerprint))
        try:
            fitted = fit_pair(
                session.contract,
                training,
                second,
                champion_personas(session),
                personas=(registry.model_estimator(session, people), people["metrics"]["counts"]),
            )
        except TrialError as failure:
            record_failure(session, fingerprint, failure)
            log.warning("%s; there is no runner-up in shadow", failure)
            return None
        data = describe_training(session.contract, training, triggered_by)
        data |= {"trials_of": fingerprint}
        pair = registry.register_models(session, fitted, own, data)
        delete_rows(session, fingerprint)
    begin_shadow(session, pair, POLICY)
    return pair


def runner_up(results: list[TrialResult], chosen: str) -> TrialResult | None:
    """Return the trial with the best mean AUC of another algorithm than the chosen trial's.

    If there is no other algorithm, return the best other trial. Return None if there is none.

    Args:
        results: results of all trials of a training.
        chosen: name of the chosen trial.
    """
    others = [each for each in results if each.trial.name != chosen]
    algorithm = next(each.trial.algorithm for each in results if each.trial.name == chosen)
    others = [each for each in others if each.trial.algorithm != algorithm] or others
    return max(others, key=lambda each: (each.mean("auc"), -each.trial.place), default=None)
