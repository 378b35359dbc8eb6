"""Lead a run: agree on an encoding, let the sites learn, and ask how good the model is."""

import json
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Context, RecordDict
from flwr.common import ndarrays_to_parameters
from flwr.compat.common import recorddict_compat
from flwr.server import LegacyContext
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key
from flwr.server.workflow.default_workflows import default_fit_workflow
from flwr.serverapp import Grid

from loan_scoring.contract.federated import LINEAR, FederatedPolicy
from loan_scoring.errors import StateError
from loan_scoring.federated import agreement, linear, trees
from loan_scoring.federated.agreement import Scheme
from loan_scoring.federated.guards import noise_factor, one_array
from loan_scoring.federated.site import Question, counts_sensitivity, linear_model
from loan_scoring.federated.strategies import ScreenedAverage, ScreenedBagging
from loan_scoring.federated.watched_grid import WatchedGrid, ask

log = logging.getLogger(__name__)
STARTS_WITHIN_SECONDS = 300.0


class Federation:
    """One run. `request` is what `run.request_of` wrote: the policy and the declared columns."""

    def __init__(self, grid: Grid, context: Context, request: dict[str, Any]) -> None:
        """Take the server's grid and context, and the request."""
        self.policy = FederatedPolicy(**request["policy"])
        self.grid = WatchedGrid(
            grid, self.policy.min_sites, request.get("answer_within_seconds", 600.0)
        )
        self._context, self._request = context, request
        self._loans: dict[int, int] = {}
        self._steps: list[float] = []

    def run(self) -> dict[str, Any]:
        """Train, and return the result, ready for JSON.

        Raises:
            StateError: too few sites took part, or their sum is not plausible.
        """
        started = time.monotonic()
        scheme = self._agree(self._meet())
        algorithm = self.policy.algorithm
        fitted = self._fit_linear(scheme) if algorithm in LINEAR else self._boost(scheme)
        sites = self._evaluate(scheme, fitted)
        return {
            "portfolio": self._request["portfolio"],
            "policy": self._request["policy"],
            "algorithm": algorithm,
            "scheme": scheme,
            "model": fitted,
            "sites": sites,
            "left_out": [*self.grid.left_out.values()],
            "loans": sum(self._loans.values()),
            "seconds": round(time.monotonic() - started, 1),
            "bytes_to_server": self.grid.bytes_to_server,
            "bytes_to_sites": self.grid.bytes_to_sites,
        }

    def _meet(self) -> list[str]:
        """Wait for the sites, and return the features that all of them can use."""
        expected, until = self._request["sites"], time.monotonic() + STARTS_WITHIN_SECONDS
        while len(self.grid.get_node_ids()) < expected and time.monotonic() < until:
            time.sleep(0.5)
        here = len(self.grid.get_node_ids())
        if here < self.policy.min_sites:
            raise StateError(
                f"{here} of {expected} sites connected within {STARTS_WITHIN_SECONDS:.0f} seconds; "
                "start the other sites and then the run"
            )
        found = {
            node: json.loads(str(reply.content.config_records["answer"]["json"]))
            for node, reply in ask(self.grid, "describe", RecordDict()).items()
        }
        self.grid.names = {node: each["site"] for node, each in found.items()}
        for node, each in list(found.items()):
            if fault := self.policy.fault_of_terms(each["terms"]):
                self.grid.leave_out(node, fault)
                del found[node]
        for node, each in self.grid.left_out.items():
            log.warning("node %d is left out: %s", node, each["reason"])
        if len(found) < self.policy.min_sites:
            told = "; ".join(each["reason"] for each in self.grid.left_out.values())
            raise StateError(f"{len(found)} of {here} sites can take part: {told}")
        self._loans = {node: each["loans"] for node, each in found.items()}
        usable = [set(each["features"]) for each in found.values()]
        return [name for name in self._request["features"] if set.intersection(*usable) >= {name}]

    def _agree(self, features: list[str]) -> Scheme:
        """Return the scheme, from two counts at all sites, and a third for a scorecard."""
        declared = self._request["levels"]
        scheme: Scheme = {
            "numbers": [name for name in features if name in self._request["numbers"]],
            "categories": [name for name in features if name in declared],
            "levels": {}, "edges": {}, "knots": {}, "cuts": {},
        }  # fmt: skip
        numbers, width = scheme["numbers"], len(agreement.COARSE) + 1
        sizes = [width] * len(numbers) + [len(declared[name]) for name in scheme["categories"]]
        *parts, rate = self._counts("coarse", scheme, {}, [*sizes, 1])
        noise = self._noise(len(sizes))
        parts = [np.where(part < 4 * noise, 0.0, part) for part in parts]
        scheme["rate"] = float(np.clip(rate[0] / self._total, 1e-3, 1 - 1e-3))
        between = {
            name: agreement.quantiles(counts, agreement.COARSE, np.array([0.005, 0.995])).tolist()
            for name, counts in zip(numbers, parts, strict=False)
        }
        for name, counts in zip(scheme["categories"], parts[len(numbers) :], strict=True):
            enough = counts >= max(self.policy.min_loans - 0.5, 4 * noise)
            scheme["levels"][name] = sorted(
                level for level, told in zip(declared[name], enough, strict=True) if told
            )
        scheme["categories"] = [each for each in scheme["categories"] if scheme["levels"][each]]
        cells = agreement.NOISY_CELLS if noise else agreement.FINE_CELLS
        between = {name: [*ends, cells] for name, ends in between.items()}
        width = cells + 2
        *parts, _ = self._counts("fine", scheme, {"between": between}, [*[width] * len(numbers), 1])
        for name, counts in zip(numbers, parts, strict=True):
            agreement.agree_numbers(scheme, name, counts, agreement.fine_edges(*between[name]))
        return self._weigh(scheme) if self.policy.algorithm == "scorecard" else scheme

    def _weigh(self, scheme: Scheme) -> Scheme:
        """Add loans and defaults of each bin to the scheme of a scorecard."""
        sizes = {name: len(scheme["cuts"][name]) + 2 for name in scheme["numbers"]}
        sizes |= {name: len(scheme["levels"][name]) + 2 for name in scheme["categories"]}
        shape = [size for size in sizes.values() for _ in range(2)]
        found = self._counts("bins", scheme, {"sizes": sizes}, shape)
        scheme["loans"], scheme["defaults"] = {}, {}
        for name, loans, defaults in zip(sizes, found[::2], found[1::2], strict=True):
            loans, defaults = np.rint(loans), np.rint(defaults)
            scheme["loans"][name] = np.maximum(loans, 0).tolist()
            scheme["defaults"][name] = np.clip(defaults, 0, scheme["loans"][name]).tolist()
        return agreement.with_directions(scheme, self._request["directions"])

    def _fit_linear(self, scheme: Scheme) -> dict[str, Any]:
        algorithm = self.policy.algorithm
        standard = self._standard(scheme)
        arguments = {
            "algorithm": algorithm,
            "means": standard.means.tolist(),
            "deviations": standard.deviations.tolist(),
        }
        weights = np.zeros(len(standard.means) + 1)
        weights[-1] = np.log(scheme["rate"] / (1 - scheme["rate"]))
        for number in range(1, self.policy.rounds + 1):
            self.grid.round = number
            weights = self._collect(Question("fit", scheme, arguments), weights)
            log.info("round %d of %d", number, self.policy.rounds)
        return linear_model(algorithm, standard, weights)

    def _standard(self, scheme: Scheme) -> linear.Standard:
        algorithm = self.policy.algorithm
        if algorithm == "scorecard":  # its columns have few values, whose counts are known
            encoder = agreement.build_encoder(scheme, algorithm)
            evidence = [woe for _, part, _ in encoder.transformers_ for woe in part.woe_]
            loans = [scheme["loans"][name] for name in scheme["numbers"] + scheme["categories"]]
            several = list(zip(evidence, loans, strict=True))
            return linear.standard_of(
                np.array([np.average(woe, weights=each) for woe, each in several]),
                np.array([np.average(woe**2, weights=each) for woe, each in several]),
            )
        encoder = agreement.build_encoder(scheme, algorithm)
        columns = sum(
            part.n_features_out_ if hasattr(part, "n_features_out_")
            else sum(map(len, part.categories_))
            for _, part, names in encoder.transformers_ if names
        )  # fmt: skip
        question = Question("moments", scheme, {"algorithm": algorithm})
        found = self._collect(question, np.zeros(2 * columns))
        return linear.standard_of(found[:columns], found[columns:])

    def _boost(self, scheme: Scheme) -> dict[str, Any]:
        policy = self.policy

        def shares() -> dict[int, float]:
            return {node: loans / self._active for node, loans in self._loans.items()}

        def question() -> str:
            return Question("boost", scheme, self._boosting() | {"loans": self._active}).text()

        strategy = ScreenedBagging(
            self.grid, question, shares, policy.trees_per_round, policy.learning_rate,
            policy.min_sites,
        )  # fmt: skip
        empty = one_array(np.frombuffer(b"", dtype=np.uint8))
        result = strategy.start(
            self.grid, empty, num_rounds=policy.rounds, train_config=ConfigRecord()
        )
        model = trees.one_by_one(result.arrays["0"].numpy().tobytes())
        return {"algorithm": policy.algorithm, "trees": model.decode()}

    def _boosting(self) -> dict[str, Any]:
        policy = self.policy
        return {
            "learning_rate": policy.learning_rate, "max_depth": policy.max_depth,
            "trees": policy.trees_per_round, "rounds": policy.rounds,
        }  # fmt: skip

    @property
    def _total(self) -> int:
        return sum(self._loans.values())

    @property
    def _active(self) -> int:
        """The loans of the sites that are not left out."""
        return sum(self._loans[node] for node in self.grid.get_node_ids())

    def _counts(
        self, task: str, scheme: Scheme, arguments: dict[str, Any], sizes: list[int]
    ) -> list[np.ndarray]:
        """Return the sums of counts over all sites, cut into parts of the given sizes."""
        found = self._collect(Question(task, scheme, arguments), np.zeros(sum(sizes)))
        return np.split(found * self._total, np.cumsum(sizes)[:-1])

    def _noise(self, columns: int) -> float:
        """Return the standard deviation of the noise in a count of all sites."""
        if self.policy.epsilon is None:
            return 0.0
        one = noise_factor(self.policy) * counts_sensitivity(columns)
        return float(one * np.sqrt(len(self._loans)))

    def _noise_of(self, question: Question) -> Callable[[int], float]:
        """Return a function that tells how long the noise in a node's answer may be."""
        policy = self.policy
        if policy.epsilon is None or question.task != "fit":
            return lambda _: 0.0
        columns, factor = len(question.arguments["means"]), noise_factor(policy)
        return lambda node: (
            2 * factor * np.sqrt(columns + 1)
            * linear.sensitivity(columns, self._loans[node], policy.proximal)
        )  # fmt: skip

    def _collect(self, question: Question, start: np.ndarray) -> np.ndarray:
        """Return the mean of the sites' answers, weighted by loans, by one round of Flower."""
        policy = self.policy
        largest = policy.largest_change if question.task == "fit" else 1e3
        strategy = ScreenedAverage(
            self.grid, question.text(), start, largest, self._noise_of(question),
            secure=policy.secure_aggregation,
        )  # fmt: skip
        context = LegacyContext(self._context, strategy=strategy)
        context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord(
            {Key.CURRENT_ROUND: self.grid.round, Key.START_TIME: time.monotonic()}
        )
        context.state.array_records[MAIN_PARAMS_RECORD] = (
            recorddict_compat.parameters_to_arrayrecord(ndarrays_to_parameters([start]), True)
        )
        workflow = default_fit_workflow
        if policy.secure_aggregation:
            workflow = SecAggPlusWorkflow(
                num_shares=1.0, reconstruction_threshold=0.5,
                max_weight=float(max(self._loans.values())),
            )  # fmt: skip
        workflow(self.grid, context)
        if strategy.found is None:
            told = "; ".join(
                f"{each['site']}: {each['reason']}" for each in self.grid.left_out.values()
            )
            raise StateError(f"round {self.grid.round} ended without a sum ({told or 'no reason'})")
        self._refuse_jump(question, strategy.found - start)
        return strategy.found

    def _refuse_jump(self, question: Question, step: np.ndarray) -> None:
        """Refuse a sum that moves the model much further than any round did.

        Only secure aggregation needs this, because it hides which site sent what.
        """
        if question.task != "fit" or not self.policy.secure_aggregation:
            return
        length = float(np.linalg.norm(step))
        most = self.policy.largest_change * max([*self._steps, 1.0])
        if not np.isfinite(length) or length > most:
            raise StateError(
                f"the sum of round {self.grid.round} moves the model by {length:.3g}, and "
                f"{most:.3g} is the most; masks hide which site sent it, so run once with "
                "secure_aggregation: false to find the site"
            )
        self._steps.append(length)

    def _evaluate(self, scheme: Scheme, fitted: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what every site tells of the model on its own hold-out."""
        arguments = {"model": fitted, "algorithm": self.policy.algorithm} | self._boosting()
        text = Question("evaluate", scheme, arguments).text()
        content = RecordDict({"config": ConfigRecord({"question": text})})
        replies = ask(self.grid, "evaluate", content)
        return [
            {"site": self.grid.names[node], "training_loans": self._loans[node]}
            | json.loads(str(reply.content.config_records["answer"]["json"]))
            for node, reply in replies.items()
        ]
