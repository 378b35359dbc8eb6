"""Federated training at sites of one process: as good as pooled, robust, and private."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from flwr.app import Message
from generated_sites import (
    LEVELS,
    NUMBERS,
    contract_with,
    generated_site,
    generated_sites,
    pooled,
)
from scipy.stats import norm

from loan_scoring.contract import Contract
from loan_scoring.errors import StateError
from loan_scoring.federated import serve, trees
from loan_scoring.federated.guards import noise_factor, releases
from loan_scoring.federated.in_process import federation_of
from loan_scoring.federated.request import request_of
from loan_scoring.federated.site import Question, Site, log_odds
from loan_scoring.statistics.auc import delong

LINEAR = "logistic_regression"


def run(
    sites: list[Site], folder: Path, captured: list[Message] | None = None, **changes: Any
) -> dict[str, Any]:
    """Return the result of a run, and keep the messages that reach the server."""
    request = request_of(sites[0].contract, sites=len(sites), **changes)
    federation = federation_of(sites, request, folder)
    if captured is not None:
        # Copied, because the server takes arrays out of messages.
        federation.grid.watch = lambda message: captured.append(copy.deepcopy(message))
    return federation.run()


def auc(result: dict[str, Any], sites: list[Site], model: dict[str, Any] | None = None) -> float:
    """Return the AUC of a model on the hold-out of all sites."""
    everyone = pooled(sites)
    margins = log_odds(model or result["model"], result["scheme"], everyone.X_test)
    return float(delong(everyone.y_test, margins)[0])


def fitted_pooled(result: dict[str, Any], sites: list[Site]) -> dict[str, Any]:
    """Return the model of all loans in one place."""
    policy = result["policy"]
    arguments = {
        "algorithm": result["algorithm"], "trees": policy["trees_per_round"],
        "rounds": policy["rounds"], "learning_rate": policy["learning_rate"],
        "max_depth": policy["max_depth"],
    }  # fmt: skip
    return pooled(sites).alone(Question("evaluate", result["scheme"], arguments))


@pytest.mark.parametrize(
    ("algorithm", "most"), [(LINEAR, 0.005), ("scorecard", 0.005), ("xgboost", 0.01)]
)
def test_is_as_good_as_pooled_and_better_than_sites_alone(
    algorithm: str, most: float, tmp_path: Path
) -> None:
    sites = generated_sites(contract_with(algorithm=algorithm))
    result = run(sites, tmp_path)
    found = auc(result, sites)
    assert found > auc(result, sites, fitted_pooled(result, sites)) - most
    assert found > np.mean([each["alone"]["auc"] for each in result["sites"]])
    assert result["left_out"] == []


def test_secure_aggregation_changes_nothing_and_hides_every_update(tmp_path: Path) -> None:
    plain_sites = generated_sites(contract_with(algorithm=LINEAR))
    in_clear: list[Message] = []
    plain = run(plain_sites, tmp_path / "plain", in_clear)
    sites = generated_sites(contract_with(algorithm=LINEAR, secure_aggregation=True))
    captured: list[Message] = []
    secure = run(sites, tmp_path / "secure", captured)
    assert auc(secure, sites) == pytest.approx(auc(plain, plain_sites), abs=0.001)
    # The same search finds the updates where they are sent in the clear.
    updates = [array for message in in_clear for array in arrays_of(message)]
    assert len(updates) == 4 * (3 + 4)
    assert any(shows(message, updates[-1], sites) for message in in_clear)
    assert not any(shows(message, update, sites) for message in captured for update in updates)
    assert not any(arrays_of(message) for message in captured)


def arrays_of(message: Message) -> list[np.ndarray]:
    """Return the arrays of a message."""
    if not message.has_content():
        return []
    return [
        array.numpy()
        for record in message.content.array_records.values()
        for array in record.values()
    ]


def content_of(message: Message) -> bytes:
    """Return everything that a message holds, as bytes."""
    if not message.has_content():
        return message.error.reason.encode()
    content = message.content
    parts = [array.data for record in content.array_records.values() for array in record.values()]
    for record in (*content.config_records.values(), *content.metric_records.values()):
        for value in record.values():
            for each in value if isinstance(value, list) else [value]:
                parts.append(each if isinstance(each, bytes) else str(each).encode())
    return b"\n".join(parts)


def shows(message: Message, update: np.ndarray, sites: list[Site]) -> bool:
    """Return whether a message holds the largest values of an update, as they are or quantised."""
    content = content_of(message)
    largest = update[np.argsort(-np.abs(update))][:5]
    largest = largest[np.abs(largest) > 1e-3]  # zeros are everywhere
    found = [value.astype("<f8").tobytes() for value in largest]
    most = max(len(site.y) for site in sites)
    for site in sites:  # SecAgg+ weights, shifts and rounds before it masks
        scaled = (largest * len(site.y) / most + 8) * (2**22 - 1) / 16
        for value in (*np.floor(scaled), *np.ceil(scaled)):
            found.append(np.int64(value).tobytes())
    return any(each in content for each in found)


@pytest.mark.parametrize("algorithm", [LINEAR, "scorecard", "xgboost"])
def test_no_value_or_level_of_few_loans_leaves_a_site(algorithm: str, tmp_path: Path) -> None:
    contract = contract_with(algorithm=algorithm)
    sites = generated_sites(contract)
    planted = sites[3].X
    rows = planted.index[:19]  # min_loans is 20
    planted.loc[rows, "loan_amount_usd"] = 98765432.0
    planted.loc[rows[:3], "loan_purpose"] = "planted level"
    planted.loc[planted["loan_type"] == "type3", "loan_type"] = "type1"
    planted.loc[rows, "loan_type"] = "type3"
    captured: list[Message] = []
    result = run(sites, tmp_path, captured)
    texts = [content_of(message) for message in captured] + [json.dumps(result["scheme"]).encode()]
    values = [
        np.array(98765432.0).astype("<f8").tobytes(), np.array(98765432.0).astype("<f4").tobytes(),
        b"98765432", b"9.876543", b"planted level",
    ]  # fmt: skip
    for text in texts:
        assert not [value for value in values if value in text]
    told = count_of(result, captured, sites[3], "loan_type", "type3")
    assert told == 0
    # Everything that is counted is 0 or at least min_loans: cells, levels, bins, defaults, leaves.
    for message in captured:
        site = sites[message.metadata.src_node_id - 1]
        for array in arrays_of(message):
            for count in counts_in(array, site, result):
                assert count == 0 or count >= 20 - 1e-6


def counts_in(array: np.ndarray, site: Site, result: dict[str, Any]) -> np.ndarray:
    """Return the loans of each count, or of each leaf, in a message."""
    scheme = result["scheme"]
    if array.dtype == np.uint8:
        booster = trees.load(array.tobytes())
        leaves = booster.predict(
            xgboost.DMatrix(trees.to_edges(site.X, scheme, 20)), pred_leaf=True
        )
        return np.concatenate([np.unique(each, return_counts=True)[1] for each in leaves.T])
    model = result["model"]
    columns = len(model.get("coefficients", ())) or -1
    if len(array) in (columns + 1, 2 * columns):  # weights and moments are no counts
        return np.zeros(0)
    return array * len(site.y)


def count_of(
    result: dict[str, Any], captured: list[Message], site: Site, name: str, level: str
) -> float:
    """Return the count of a level in the first vector that a site sent."""
    first = next(
        array
        for message in captured
        for array in arrays_of(message)
        if message.metadata.src_node_id == 4 and array.dtype.kind == "f"
    )
    names = result["scheme"]["categories"]
    levels = [len(site.contract.by_name[each].levels or []) for each in names]
    place = names.index(name)
    of_levels = first[-1 - sum(levels) : -1]
    return float(
        of_levels[sum(levels[:place]) + (site.contract.by_name[name].levels or []).index(level)]
    )


class Broken(Site):
    """A site whose second fit is spoilt."""

    factor = 1.0

    def answer(self, question: Question, start: np.ndarray) -> np.ndarray:
        found = super().answer(question, start)
        return found * self.factor if question.task == "fit" else found

    def boost(self, question: Question, model: bytes) -> bytes:
        found = json.loads(super().boost(question, model))
        for tree in found["learner"]["gradient_booster"]["model"]["trees"]:
            for node, left in enumerate(tree["left_children"]):
                if left == -1:
                    tree["split_conditions"][node] *= self.factor
        return json.dumps(found).encode()


class Huge(Broken):
    factor = 1000.0


class NoNumber(Broken):
    factor = float("nan")


@pytest.mark.parametrize("algorithm", [LINEAR, "xgboost"])
def test_broken_sites_are_left_out_and_named(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if a hostile site had taken the check out.
    monkeypatch.setattr("loan_scoring.federated.guards.check_finite", lambda *_: None)
    contract = contract_with(algorithm=algorithm)
    sites = generated_sites(contract, (2000, 2000, 2000, 2000, 2000))
    sites[1], sites[3] = NoNumber(**vars(sites[1])), Huge(**vars(sites[3]))
    result = run(sites, tmp_path)
    left_out = {each["site"]: each["reason"] for each in result["left_out"]}
    assert set(left_out) == {"site1", "site3"}
    assert "no numbers" in left_out["site1"]
    assert "too large" in left_out["site3"]
    assert auc(result, [sites[0], sites[2], sites[4]]) > 0.65


def test_a_site_sends_no_nan_under_masks(tmp_path: Path) -> None:
    contract = contract_with(algorithm=LINEAR, secure_aggregation=True)
    sites = generated_sites(contract)
    sites[2] = NoNumber(**vars(sites[2]))
    result = run(sites, tmp_path)
    assert [(each["site"], each["round"]) for each in result["left_out"]] == [("site2", 1)]
    assert "nothing is sent" in result["left_out"][0]["reason"]


def test_too_few_sites_end_the_run_with_their_reasons(tmp_path: Path) -> None:
    contract = contract_with(algorithm=LINEAR, min_sites=4)
    sites = generated_sites(contract)
    sites[0] = NoNumber(**vars(sites[0]))
    with pytest.raises(StateError, match=r"3 sites are left in round 1.*site0: .*no numbers"):
        run(sites, tmp_path)


def test_a_site_refuses_to_send_vectors_without_masks(tmp_path: Path) -> None:
    strict, loose = contract_with(algorithm=LINEAR, secure_aggregation=True), contract_with()
    sites = generated_sites(strict)
    with pytest.raises(StateError, match="only by secure aggregation"):
        run(sites, tmp_path, secure_aggregation=False, algorithm=LINEAR)
    assert loose.federated is not None


def test_epsilon_adds_noise_and_costs_little_auc(tmp_path: Path) -> None:
    plain = generated_sites(contract_with(algorithm=LINEAR), (6000, 6000, 6000))
    private = generated_sites(
        contract_with(algorithm=LINEAR, epsilon=8, proximal=1.0), (6000, 6000, 6000)
    )
    expected, found = run(plain, tmp_path / "plain"), run(private, tmp_path / "private")
    moved = np.array(found["scheme"]["knots"]["ltv_percent"])
    assert not np.allclose(moved, expected["scheme"]["knots"]["ltv_percent"])
    assert 0.55 < auc(found, private) < auc(expected, plain) + 0.01


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.0, 50.0])
def test_noise_of_a_run_is_enough_for_its_epsilon(epsilon: float) -> None:
    """The exact delta of Gaussian noise is of Balle and Wang 2018, theorem 8."""
    policy = contract_with(algorithm=LINEAR, epsilon=epsilon, rounds=12).federated
    assert policy is not None
    spread = noise_factor(policy) / np.sqrt(releases(policy))  # all vectors of a run as one
    near, far = 1 / (2 * spread) - epsilon * spread, -1 / (2 * spread) - epsilon * spread
    delta = norm.cdf(near) - np.exp(epsilon) * norm.cdf(far)
    assert 0 < delta <= policy.delta


def test_a_vector_has_the_noise_that_its_epsilon_needs(tmp_path: Path) -> None:
    contract = contract_with(algorithm=LINEAR, epsilon=2.0)
    sites, captured = generated_sites(contract), list[Message]()
    run(sites, tmp_path, captured)
    sent = next(array for message in captured for array in arrays_of(message))
    site = sites[0]
    scheme = {"numbers": list(NUMBERS), "categories": list(LEVELS)}
    question = Question("coarse", scheme, {})
    noise = sent - site.answer(question, np.zeros(0))
    assert contract.federated is not None
    expected = noise_factor(contract.federated) * site.sensitivity(question)
    assert noise.std() == pytest.approx(expected, rel=0.15)


def test_a_site_sends_no_more_vectors_than_its_epsilon_covers(tmp_path: Path) -> None:
    sites = generated_sites(contract_with(algorithm=LINEAR, epsilon=8, rounds=2))
    with pytest.raises(StateError, match="has sent the 5 vectors that its epsilon covers"):
        run(sites, tmp_path, rounds=3)


def test_the_noise_of_a_small_site_is_no_fault(tmp_path: Path) -> None:
    contract = contract_with(algorithm=LINEAR, epsilon=2.0, proximal=1.0)
    result = run(generated_sites(contract, (6000, 6000, 6000, 300)), tmp_path)
    assert result["left_out"] == []


def test_a_site_that_protects_less_takes_no_part(tmp_path: Path) -> None:
    terms = {"algorithm": LINEAR, "proximal": 1.0, "rounds": 1}
    sites = generated_sites(contract_with(**terms, epsilon=8))
    sites[1] = generated_site(contract_with(**terms), "site1", 2400, 1)
    result = run(sites, tmp_path)
    (left_out,) = result["left_out"]
    assert left_out["site"] == "site1"
    assert "protects loans less than the run says (epsilon None, here 8" in left_out["reason"]
    assert {each["site"] for each in result["sites"]} == {"site0", "site2", "site3"}


def test_a_site_with_an_epsilon_sends_no_trees(tmp_path: Path) -> None:
    sites = generated_sites(contract_with(algorithm=LINEAR, epsilon=8))
    request = request_of(contract_with(algorithm="xgboost"), sites=4)
    with pytest.raises(StateError, match="trains logistic_regression, and the server asks for xg"):
        federation_of(sites, request, tmp_path).run()


def test_a_site_logs_bytes_and_shapes_and_no_value(tmp_path: Path) -> None:
    sites = generated_sites(contract_with(algorithm=LINEAR))
    result = run(sites, tmp_path)
    lines = [json.loads(each) for each in (tmp_path / "site0.jsonl").read_text().splitlines()]
    assert [each["task"] for each in lines] == [
        None, "coarse", "fine", "moments", "fit", "fit", "fit", "fit", None,
    ]  # fmt: skip
    assert all(each["bytes"] > 0 for each in lines)
    told = next(each for each in result["sites"] if each["site"] == "site0")
    assert told["messages_sent"] == len(lines) - 1  # it was told before its own line
    shape = lines[4]["arrays"]["fitres.parameters.0"]["shape"]
    assert shape == [len(result["model"]["coefficients"]) + 1]


def test_a_request_that_cannot_be_read_does_not_stop_the_server(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text("{")
    serve.take(tmp_path, "superlink", 8000, None)
    assert (tmp_path / "error.txt").read_text().startswith("the request failed: JSONDecodeError(")


def test_a_site_with_too_few_defaults_takes_no_part(tmp_path: Path) -> None:
    contract: Contract = contract_with(algorithm=LINEAR)
    sites = [*generated_sites(contract), generated_site(contract, "tiny", 40, 9)]
    result = run(sites, tmp_path)
    assert "tiny has fewer than 20" in result["left_out"][0]["reason"]
    assert len(result["sites"]) == 4
