"""The runner-up of a training is the best trial of another algorithm."""

from loan_scoring.models.training.candidates import Trial
from loan_scoring.models.training.cross_validation import TrialResult
from loan_scoring.models.training.runner_up import runner_up


def result(name: str, place: int, auc: float) -> TrialResult:
    algorithm = name.rpartition("-")[0]
    return TrialResult(Trial(name, place, algorithm, {}), [{"auc": auc}], 1.0, 0.0, 1.0)


def test_it_is_the_best_of_another_algorithm() -> None:
    results = [
        result("logistic_regression-1", 0, 0.76),
        result("hist_gradient_boosting-1", 1, 0.80),
        result("hist_gradient_boosting-2", 2, 0.80),
        result("xgboost-1", 3, 0.79),
    ]
    found = runner_up(results, "hist_gradient_boosting-1")
    assert found is not None
    assert found.trial.name == "xgboost-1"


def test_with_one_algorithm_it_is_another_trial_and_with_one_trial_none() -> None:
    results = [result("xgboost-1", 0, 0.79), result("xgboost-2", 1, 0.78)]
    found = runner_up(results, "xgboost-1")
    assert found is not None
    assert found.trial.name == "xgboost-2"
    assert runner_up(results[:1], "xgboost-1") is None
