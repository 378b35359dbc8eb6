"""Training rows are split or refused in one line, and every figure comes from the scorer."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from loan_scoring.contract import Contract
from loan_scoring.errors import StateError
from loan_scoring.models.encoding import Columns, Encoder
from loan_scoring.models.fitted import FittedModel
from loan_scoring.models.holdout import holdout_members
from loan_scoring.models.numbers import LARGEST, as_floats
from loan_scoring.models.training.candidates import LEVELS, Trial, build_candidate, fit_pipeline
from loan_scoring.models.training.cross_validation import TrialResult
from loan_scoring.models.training.fit import fit_pair, split_rows
from loan_scoring.models.training.persona_names import name_clusters, tell_clusters
from loan_scoring.models.training.personas import fit_personas
from loan_scoring.models.training.rows import TrainingRows

ROWS = 2000
KNOWN = {"known": "application"}
CHOSEN = TrialResult(
    Trial("logistic_regression-1", 0, "logistic_regression", {"C": 1.0}),
    [{"auc": 0.8}, {"auc": 0.8}], 1.0, 0.0, 1.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def contract() -> Contract:
    category = {**KNOWN, "type": "category", "open_levels": True}
    return Contract.model_validate(
        {
            "portfolio": "tiny",
            "title": "Tiny",
            "owner": "nobody",
            "target": {"source": "bad", "positive": ["1"], "negative": ["0"]},
            "decision": {"approve_below": 0.1, "decline_from": 0.4},
            "training": {"personas": [3, 4], "resamples": 100},
            "columns": [
                {**KNOWN, "source": "id", "name": "loan_id", "label": "Id", "type": "integer"},
                {**KNOWN, "source": "a", "name": "amount", "label": "Amount", "type": "number"},
                {**category, "source": "k", "name": "kind", "label": "Kind"},
            ],
        }
    )


def loans(seed: int = 1, **columns: object) -> TrainingRows:
    dice = np.random.default_rng(seed)
    amount = dice.normal(size=ROWS)
    data = {
        "loan_id": np.arange(ROWS),
        "amount": amount,
        "kind": dice.choice(["a", "b", "c"], ROWS),
        "is_default": dice.random(ROWS) < 1 / (1 + np.exp(1.5 - 1.5 * amount)),
    }
    return TrainingRows("fingerprint", pa.table(data | columns), [], {}, ["amount", "kind"])


def test_feature_that_few_loans_have_is_left_out(contract: Contract) -> None:
    is_filled = np.arange(ROWS) < 20  # some of the 20 are in the hold-out
    few = pa.array(np.where(is_filled, 1.5, 2.5), mask=~is_filled)
    assert split_rows(contract, loans(amount=few)).features == ["kind"]
    is_filled = np.arange(ROWS) < 60
    more = pa.array(np.full(ROWS, 1.5), mask=~is_filled)
    assert split_rows(contract, loans(amount=more)).features == ["amount", "kind"]


@pytest.mark.parametrize(
    ("in_holdout", "message"),
    [
        (True, r"the training set of tiny has 0 defaulted and \d+ paid loans .* needs 5 of each"),
        (False, r"the hold-out of tiny has 0 defaulted and \d+ paid loans .* needs 1 of each"),
    ],
)
def test_part_without_defaults_is_refused(
    contract: Contract, in_holdout: bool, message: str
) -> None:
    policy = contract.training
    held = holdout_members(pa.chunked_array([np.arange(ROWS)]), policy.seed, policy.holdout_share)
    with pytest.raises(StateError, match=message):
        split_rows(contract, loans(is_default=(held == in_holdout) & (np.arange(ROWS) % 3 == 0)))


def test_loans_that_are_alike_in_every_feature_are_refused(contract: Contract) -> None:
    alike = {"amount": np.ones(ROWS), "kind": ["a"] * ROWS}
    with pytest.raises(StateError, match="alike in every feature"):
        split_rows(contract, loans(**alike))


def test_figures_on_the_holdout_are_wrong_if_the_scorer_is_wrong(
    contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fitted pipeline stays as good as it was. Only what a night would write is wrong."""

    def figures(models: list[FittedModel]) -> tuple[float, float, float]:
        model = models[0]
        assert model.evaluation is not None
        area = np.trapezoid(*np.array(model.evaluation["roc"]).T[::-1])
        return model.metrics["auc"], model.metrics["calibration_slope"], float(area)

    auc, slope, area = figures(fit_pair(contract, loans(), CHOSEN))
    assert auc > 0.75
    assert area == pytest.approx(auc, abs=0.01)
    assert 0.7 < slope < 1.4
    encode = Encoder.encode

    def other_rows(self: Encoder, columns: Columns) -> np.ndarray:
        return np.roll(encode(self, columns), 1, axis=0)

    monkeypatch.setattr(Encoder, "encode", other_rows)
    auc, slope, area = figures(fit_pair(contract, loans(), CHOSEN))
    assert auc == pytest.approx(0.5, abs=0.1)
    assert area == pytest.approx(auc, abs=0.01)
    assert abs(slope) < 0.5


@pytest.mark.parametrize("algorithm", ["hist_gradient_boosting", "logistic_regression"])
@pytest.mark.parametrize("levels", [LEVELS, LEVELS + 1, 400])
def test_rare_levels_above_the_limit_are_one_group(
    contract: Contract, algorithm: str, levels: int
) -> None:
    dice = np.random.default_rng(3)
    names = [f"town {place:03}" for place in range(levels)]
    counts = np.where(np.arange(levels) < LEVELS - 1, 25, 20)  # the last ones are the rarest
    kind = np.repeat(names, counts).astype(object)
    X = pd.DataFrame({"amount": dice.normal(size=len(kind)), "kind": kind})
    y = (dice.random(len(kind)) < 0.3).astype(int)
    trial = Trial(f"{algorithm}-1", 0, algorithm, {})
    model = fit_pipeline(build_candidate(contract, ["amount", "kind"], trial), X, y)
    each = pd.DataFrame({"amount": 0.0, "kind": names}).astype({"kind": object})
    encoded = np.asarray(model[0].transform(each))
    assert len(np.unique(encoded, axis=0)) == LEVELS
    assert (encoded[LEVELS - 1 :] == encoded[LEVELS - 1]).all()


@pytest.mark.parametrize(("distinct", "personas"), [(1, 1), (2, 2), (3, 3)])
def test_there_are_no_more_personas_than_distinct_applicants(
    contract: Contract, distinct: int, personas: int
) -> None:
    X = pd.DataFrame({"kind": [f"k{place % distinct}" for place in range(300)]}, dtype=object)
    clusters, _ = fit_personas(contract, ["kind"], X, np.arange(300) % 2)
    assert len(np.unique(clusters.predict(X))) == clusters[-1].n_clusters == personas
    told = tell_clusters(contract, X, clusters[-1].labels_, personas)
    assert len({*name_clusters(told)}) == personas


def test_persona_of_applicants_who_all_have_rare_levels_says_so(contract: Contract) -> None:
    X = pd.DataFrame({"kind": [f"k{place}" for place in range(300)]}, dtype=object)
    clusters, _ = fit_personas(contract, ["kind"], X, np.arange(300) % 2)
    assert name_clusters(tell_clusters(contract, X, clusters[-1].labels_, 1)) == ["rare kind"]


def test_numbers_that_no_algorithm_takes_are_limited() -> None:
    odd = pa.array([1e300, -1e39, 2.5, None])
    assert as_floats(odd) == pytest.approx([LARGEST, -LARGEST, 2.5, np.nan], nan_ok=True)
    assert as_floats(pa.array([2**63 - 1, -(2**63), None])) == pytest.approx(
        [2.0**63, -(2.0**63), np.nan], nan_ok=True
    )
