"""The search: seeded, goes on after a stop, keeps directions, ends in time, names its package."""

import sys
from typing import Any

import numpy as np
import pytest

from loan_scoring.contract import PARAMETERS, Contract
from loan_scoring.contract.stage_policies import SearchPolicy
from loan_scoring.errors import ContractError
from loan_scoring.models.training.candidates import Trial
from loan_scoring.models.training.cross_validation import TrialResult
from loan_scoring.models.training.search import (
    SPACES,
    import_optuna,
    is_searched,
    search_candidates,
)

CANDIDATES: dict[str, Any] = {"hist_gradient_boosting": [{}], "xgboost": [{}]}
NEEDED = "the extra search is not installed"


def searching(contract: Contract, minutes: float, trials: int, **training: Any) -> Contract:
    """Return the contract with a search."""
    search = SearchPolicy(minutes=minutes, trials=trials)
    changed = {"candidates": CANDIDATES, "search": search, **training}
    policy = contract.training.model_copy(update=changed)
    return contract.model_copy(update={"training": policy})


class Tries:
    """Records trials without fitting them. The AUC depends on the learning rate only."""

    def __init__(self, seconds: float = 1.0, fails: tuple[int, ...] = ()) -> None:
        self.tried: list[Trial] = []
        self.seconds, self.fails = seconds, fails
        self.known: dict[str, TrialResult | None] = {}

    def __call__(self, trial: Trial) -> TrialResult | None:
        self.tried.append(trial)
        rate = float(trial.parameters["learning_rate"])
        folds = [{"auc": 0.8 - (np.log(rate) - np.log(0.1)) ** 2 / 20}] * 3
        result = TrialResult(trial, folds, 1.0, 0.0, self.seconds)
        self.known[trial.name] = None if len(self.tried) in self.fails else result
        return self.known[trial.name]


def test_search_that_was_stopped_goes_on_with_the_same_candidates(loan_default: Contract) -> None:
    pytest.importorskip("optuna", reason=NEEDED)
    whole, first = Tries(fails=(3,)), Tries(fails=(3,))
    assert search_candidates(searching(loan_default, 60, 16), {}, whole) == 16
    assert search_candidates(searching(loan_default, 60, 7), {}, first) == 7
    second = Tries()
    assert search_candidates(searching(loan_default, 60, 16), first.known, second) == 9
    assert [*first.tried, *second.tried] == whole.tried
    assert {trial.algorithm for trial in whole.tried} == {*CANDIDATES}
    assert all(is_searched(trial.name) for trial in whole.tried)
    places = [trial.place for trial in whole.tried]
    assert places == [*range(2, 18)]  # behind the two declared candidates
    best = max(each.mean("auc") for each in whole.known.values() if each)
    assert best > 0.795


def test_search_ends_in_time_counting_what_was_spent_before(loan_default: Contract) -> None:
    pytest.importorskip("optuna", reason=NEEDED)
    first, second = Tries(seconds=61), Tries()
    assert search_candidates(searching(loan_default, 1, 1), {}, first) == 1
    assert search_candidates(searching(loan_default, 1, 9), first.known, second) == 0
    assert search_candidates(searching(loan_default, 2, 3), first.known, second) == 2


def test_search_leaves_out_algorithms_that_cannot_keep_directions(loan_default: Contract) -> None:
    pytest.importorskip("optuna", reason=NEEDED)
    raw = loan_default.model_dump()
    next(each for each in raw["columns"] if each["name"] == "credit_score")["direction"] = "down"
    directed = Contract.model_validate(raw)
    candidates = {"random_forest": [{}], "xgboost": [{}]}
    tries = Tries()
    search_candidates(searching(directed, 60, 8, candidates=candidates), {}, tries)
    assert {trial.algorithm for trial in tries.tried} == {"xgboost"}


def test_only_parameters_of_the_contract_are_searched() -> None:
    assert {*SPACES} == {*PARAMETERS}
    for algorithm, space in SPACES.items():
        assert {*space} <= PARAMETERS[algorithm]
        assert all(0 < low < high and type(low) is type(high) for low, high in space.values())


def test_missing_package_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ContractError) as caught:
        import_optuna()
    assert str(caught.value) == (
        "training.search needs the package optuna; run `.venv/bin/uv pip install --require-hashes "
        "-r requirements-extras.txt`, or remove the field"
    )
