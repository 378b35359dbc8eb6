"""Train a pair of models, either in one call or in separate tasks.

The tasks are: plan the training, cross-validate each trial, and finish the training.
"""

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract, derivation
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.models import registry
from loan_scoring.models.fitted import FittedModel
from loan_scoring.models.reasons import METHOD
from loan_scoring.models.training import search
from loan_scoring.models.training.candidates import Trial, declared_trials
from loan_scoring.models.training.cross_validation import (
    TrialError,
    TrialResult,
    choose_trial,
    cross_validate,
)
from loan_scoring.models.training.disparity import protected_labels
from loan_scoring.models.training.fit import champion_personas, fit_pair, split_rows
from loan_scoring.models.training.packages import require_packages
from loan_scoring.models.training.reject_inference import infer_rejects
from loan_scoring.models.training.rows import (
    TrainingRows,
    delete_rows,
    freeze_rows,
    load_rows,
    write_rows,
)
from loan_scoring.models.training.tree_gate import pass_tree_gate
from loan_scoring.models.training.trials import (
    record_failure,
    record_trial,
    recorded_failures,
    recorded_trials,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingPlan:
    """The plan of a training whose steps run in separate tasks.

    `fingerprint` identifies the rows, `trials` are the names of the trials, and `applications` is
    the row count.
    """

    fingerprint: str
    trials: list[str]
    applications: int


def train(session: Session, triggered_by: str | None = None) -> tuple[dict[str, str], int]:
    """Try all trials, fit the chosen propensity model and the personas, and register both models.

    If models with the same rows, contract and training code are registered already, nothing is
    fitted and their versions are returned.

    Args:
        session: database session.
        triggered_by: the person who started the training, such as `cli:NAME`. None if nobody did.

    Returns:
        the versions by kind, and the number of labelled applications.

    Raises:
        ContractError: a feature leaks, and the contract refuses training on leaks.
        StateError: there are fewer labelled applications than the contract asks for, or only one
            outcome occurs.
    """
    training = freeze_rows(session)
    if not _fitted_versions(session, training.fingerprint):
        require_packages(session.contract)
        training = pass_tree_gate(session.contract, training)
        for trial in declared_trials(session.contract):
            _try(session, training, trial)
        _search(session, training)
    return _finish(session, training, triggered_by), training.table.num_rows


def plan_training(session: Session) -> TrainingPlan:
    """Write the rows of a training to a file and return the plan with its trials.

    All tasks of the training read this file. So rows that arrive while the trials run are not used
    before the next training. No file is written if models with these rows are registered already.

    Raises:
        ContractError: a feature leaks, and the contract refuses training on leaks.
        StateError: there are fewer labelled applications than the contract asks for, or only one
            outcome occurs.
    """
    training = freeze_rows(session)
    if not _fitted_versions(session, training.fingerprint):
        require_packages(session.contract)
        training = pass_tree_gate(session.contract, training)
        split_rows(session.contract, training)  # refuses rows to which no trial could be fitted
        write_rows(session, training)
    trials = [trial.name for trial in declared_trials(session.contract)]
    trials += [search.SEARCH] * (session.contract.training.search is not None)
    return TrainingPlan(training.fingerprint, trials, training.table.num_rows)


def try_trial(session: Session, fingerprint: str, name: str) -> int:
    """Cross-validate one trial of a planned training, record its result, and return the row count.

    The trial `search` is the whole search, with many trials.

    If the trial fails, the reason is recorded, and the training goes on with the other trials. If
    a result is recorded already, nothing is done and 0 is returned.

    Args:
        session: database session.
        fingerprint: fingerprint of the planned training.
        name: name of the trial.

    Raises:
        StateError: the planned rows cannot be loaded, or there is no such trial.
    """
    if name == search.SEARCH and session.contract.training.search is not None:
        training = pass_tree_gate(session.contract, load_rows(session, fingerprint))
        return training.table.num_rows if _search(session, training) else 0
    trial = next((t for t in declared_trials(session.contract) if t.name == name), None)
    if trial is None:
        raise StateError(
            f"{session.contract.portfolio} declares no trial {name}; run the training again"
        )
    if _is_recorded(session, fingerprint, name):
        return 0
    training = pass_tree_gate(session.contract, load_rows(session, fingerprint))
    _try(session, training, trial)
    return int(training.table.num_rows)


def finish_training(
    session: Session, fingerprint: str, triggered_by: str | None = None
) -> tuple[dict[str, str], int]:
    """Choose a trial of a planned training, fit the pair of models and register both.

    If models with this fingerprint are registered already, nothing is fitted.

    Args:
        session: database session.
        fingerprint: fingerprint of the planned training.
        triggered_by: as for `train`.

    Returns:
        the versions by kind, and the number of labelled applications, or 0 if nothing was fitted.

    Raises:
        StateError: the planned rows cannot be loaded, the result of a trial is missing, or every
            trial failed.
    """
    versions = _fitted_versions(session, fingerprint)
    if versions:
        return versions, 0
    training = pass_tree_gate(session.contract, load_rows(session, fingerprint))
    return _finish(session, training, triggered_by), training.table.num_rows


def _fitted_versions(session: Session, fingerprint: str) -> dict[str, str]:
    """Return the versions with this fingerprint, by kind.

    Usually there are none, and the returned dictionary is empty.
    """
    with database.transaction(session.connection):
        versions = registry.versions_by_fingerprint(session, fingerprint)
    if versions:
        log.info("nothing new to learn: %s were fitted on these rows", ", ".join(versions.values()))
    return versions


def _is_recorded(session: Session, fingerprint: str, name: str) -> bool:
    return any(result.trial.name == name for result in recorded_trials(session, fingerprint))


def _search(session: Session, training: TrainingRows) -> int:
    """Try the candidates of the search and return how many were tried. None without a search."""
    if session.contract.training.search is None:
        return 0
    failed = recorded_failures(session, training.fingerprint)
    known: dict[str, TrialResult | None] = dict.fromkeys(failed)
    known |= {each.trial.name: each for each in recorded_trials(session, training.fingerprint)}
    attempt = partial(_try, session, training)
    return search.search_candidates(session.contract, known, attempt)


def _try(session: Session, training: TrainingRows, trial: Trial) -> TrialResult | None:
    """Cross-validate and record a trial, unless it is recorded. Return None if it failed."""
    if _is_recorded(session, training.fingerprint, trial.name):
        return None
    parts = split_rows(session.contract, training)
    X = parts.X.iloc[parts.learn]
    rejects = infer_rejects(session.contract, parts.features, training.applicants, X)
    try:
        result = cross_validate(
            session.contract,
            parts.features,
            trial,
            X,
            parts.y[parts.learn],
            parts.recent[parts.learn],
            rejects,
            protected_labels(session.contract, training.table, parts.learn),
        )
    except TrialError as failure:
        _leave_out(session, training, failure)
        return None
    record_trial(session, training.fingerprint, result, len(parts.learn))
    log.info("%s: AUC %.4f, %.1f s", trial.name, result.mean("auc"), result.seconds)
    return result


def _finish(session: Session, training: TrainingRows, triggered_by: str | None) -> dict[str, str]:
    contract = session.contract
    versions = _fitted_versions(session, training.fingerprint)
    if versions:
        return versions
    results = recorded_trials(session, training.fingerprint)
    declared = {trial.name for trial in declared_trials(contract)}
    tried = {result.trial.name for result in results}
    tried |= recorded_failures(session, training.fingerprint).keys()
    missing = declared - tried
    if contract.training.search is not None and not any(map(search.is_searched, tried)):
        missing.add(search.SEARCH)
    if missing:
        raise StateError(
            f"training {training.fingerprint[:16]} lacks its trials {', '.join(sorted(missing))}; "
            "run the training again"
        )
    versions = registry.register_models(
        session,
        _fit_best(session, training, results),
        training.fingerprint,
        describe_training(contract, training, triggered_by),
    )
    delete_rows(session, training.fingerprint)
    return versions


def describe_training(
    contract: Contract, training: TrainingRows, triggered_by: str | None
) -> dict[str, Any]:
    """Return what table `models` keeps of the data of a training."""
    return {
        "batches": training.batches,
        "applications": training.table.num_rows,
        "cohorts": training.cohorts,
        "applicants": training.applicants.counts,
        "outcomes_as_of": training.outcomes_as_of,
        "since": training.since,
        "policy": contract.policy,
        "reasons": METHOD,
        "derivation": derivation(contract),
        "lookup_delivery_id": training.lookup_delivery_id,
        "triggered_by": triggered_by,
    }


def _fit_best(
    session: Session, training: TrainingRows, results: list[TrialResult]
) -> list[FittedModel]:
    """Return the pair of models, fitted with the chosen trial.

    If the fit fails, the trial is left out, and another trial is chosen.

    Raises:
        StateError: every trial failed.
    """
    old_personas = champion_personas(session) if results else None
    while results:
        chosen = choose_trial(results)
        try:
            return fit_pair(session.contract, training, chosen, old_personas, results)
        except TrialError as failure:
            _leave_out(session, training, failure)
            results = [result for result in results if result is not chosen]
    failures = recorded_failures(session, training.fingerprint)
    names = [trial.name for trial in declared_trials(session.contract) if trial.name in failures]
    raise StateError(
        f"none of the {len(names)} candidates of {session.contract.portfolio} could be fitted: "
        f"{names[0]} failed with {failures[names[0]]}; table trial_failures has every reason; "
        "correct the columns or training.candidates in the contract, and run the training again"
    )


def _leave_out(session: Session, training: TrainingRows, failure: TrialError) -> None:
    """Record a failed trial. Log the reason as a warning and the traceback for debugging."""
    record_failure(session, training.fingerprint, failure)
    log.warning("%s; the training goes on without this trial", failure)
    log.debug("traceback of the failed trial", exc_info=failure)
