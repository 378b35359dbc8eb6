"""Search for parameters of candidates by cross-validation, with Optuna."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from loan_scoring.contract import KEEPS_DIRECTIONS, Contract
from loan_scoring.errors import INSTALL_EXTRAS, ContractError
from loan_scoring.models.training.candidates import Trial, declared_trials
from loan_scoring.models.training.cross_validation import TrialResult

SEARCH = "search"
"""The name of the search among the trials of a training."""
SPACES: dict[str, dict[str, tuple[float, float]]] = {
    "logistic_regression": {"C": (0.01, 10.0), "n_knots": (3, 9)},
    "random_forest": {"min_samples_leaf": (3, 100), "max_features": (0.1, 0.8)},
    "hist_gradient_boosting": {
        "max_iter": (50, 500),
        "learning_rate": (0.02, 0.3),
        "max_leaf_nodes": (7, 63),
        "min_samples_leaf": (10, 200),
        "l2_regularization": (0.001, 10.0),
    },
    "xgboost": {
        "n_estimators": (50, 500),
        "learning_rate": (0.02, 0.3),
        "max_depth": (2, 8),
        "min_child_weight": (1.0, 100.0),
        "colsample_bytree": (0.3, 1.0),
        "reg_lambda": (0.01, 10.0),
    },
    "scorecard": {"C": (0.01, 10.0), "max_bins": (4, 12)},
}
"""Limits of the parameters that are searched, by algorithm. Whole numbers are limits of counts.

All are searched on a logarithmic scale.
"""


def import_optuna() -> Any:
    """Import Optuna and return the module.

    Raises:
        ContractError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ContractError(
            f"training.search needs the package optuna; run {INSTALL_EXTRAS}, or remove the field"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def is_searched(name: str) -> bool:
    """Return whether the trial with this name was suggested by a search.

    >>> is_searched("xgboost-search-3")
    True
    """
    return f"-{SEARCH}-" in name


def search_candidates(
    contract: Contract,
    known: Mapping[str, TrialResult | None],
    try_one: Callable[[Trial], TrialResult | None],
) -> int:
    """Try candidates that the search suggests, and return how many were tried in this call.

    The suggestions depend on the seed and on the AUC of the trials before only. So a search that
    was stopped asks for the same candidates again, and goes on after the recorded ones. How many
    there are within the minutes depends on the machine.

    Args:
        contract: contract with the search and the seed.
        known: recorded results by name of the trial, None for a trial that failed.
        try_one: function that cross-validates and records a trial. It returns None if the trial
            fails.
    """
    optuna, policy = import_optuna(), contract.training.search
    if policy is None:
        return 0
    sampler = optuna.samplers.TPESampler(seed=contract.training.seed)  # Bergstra et al. 2011
    study = optuna.create_study(direction="maximize", sampler=sampler)
    spent = sum(each.seconds for name, each in known.items() if each and is_searched(name))
    started, tried = time.monotonic() - spent, 0
    for number in range(1, policy.trials + 1):
        asked = study.ask()
        trial = _suggested(contract, asked, number)
        if trial.name not in known and time.monotonic() - started >= 60 * policy.minutes:
            break
        result = known[trial.name] if trial.name in known else try_one(trial)
        tried += trial.name not in known
        if result is None:
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(asked, result.mean("auc"))
    return tried


def _suggested(contract: Contract, asked: Any, number: int) -> Trial:
    """Return the candidate of an Optuna trial. Only algorithms that keep directions are tried."""
    algorithms = [*contract.training.candidates]
    if contract.directions:
        algorithms = [each for each in algorithms if each in KEEPS_DIRECTIONS]
    algorithm = asked.suggest_categorical("algorithm", algorithms)
    parameters: dict[str, int | float | str] = {}
    for name, (low, high) in SPACES[algorithm].items():
        suggest = asked.suggest_int if isinstance(low, int) else asked.suggest_float
        parameters[name] = suggest(f"{algorithm}.{name}", low, high, log=True)
    place = len(declared_trials(contract)) + number - 1
    return Trial(f"{algorithm}-{SEARCH}-{number}", place, algorithm, parameters)
