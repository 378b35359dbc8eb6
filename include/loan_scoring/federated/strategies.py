"""Flower's strategies with a screen in front: who sends garbage is left out and named."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.common import (
    FitIns,
    FitRes,
    Parameters,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.server.client_proxy import ClientProxy
from flwr.server.compat.grid_client_proxy import GridClientProxy
from flwr.server.strategy import FedAvg
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedXgbBagging

from loan_scoring.errors import StateError
from loan_scoring.federated import trees
from loan_scoring.federated.watched_grid import WatchedGrid

log = logging.getLogger(__name__)


class ScreenedAverage(FedAvg):
    """FedAvg of the updates that are numbers and not far longer than the others.

    Under secure aggregation all updates that it gets are the same sum, so that it screens nothing.
    """

    def __init__(
        self,
        grid: WatchedGrid,
        question: str,
        start: np.ndarray,
        largest: float,
        noise: Callable[[int], float],
        *,
        secure: bool,
    ) -> None:
        """Take the question that the sites answer and the vector from which they start.

        `noise` returns how long the noise of a node may be. A small site adds much of it.
        """
        super().__init__(fraction_evaluate=0.0)
        self._grid, self._question, self._start = grid, question, start
        self._largest, self._noise, self._secure = largest, noise, secure
        self.found: np.ndarray | None = None

    def configure_fit(
        self,
        server_round: int,  # noqa: ARG002
        parameters: Parameters,  # noqa: ARG002
        client_manager: object,  # noqa: ARG002
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Ask every site that is left."""
        ins = FitIns(ndarrays_to_parameters([self._start]), {"question": self._question})
        run_id = self._grid.run.run_id
        return [(GridClientProxy(each, self._grid, run_id), ins)
                for each in self._grid.get_node_ids()]  # fmt: skip

    def aggregate_fit(
        self,
        server_round: int,
        results: list[tuple[ClientProxy, FitRes]],
        failures: list[tuple[ClientProxy, FitRes] | BaseException],  # noqa: ARG002
    ) -> tuple[Parameters | None, dict[str, Any]]:
        """Average the updates that pass the screen, weighted by loans."""
        kept = results if self._secure else self._screen(results)
        found, metrics = super().aggregate_fit(server_round, kept, [])
        if found is not None:
            self.found = np.asarray(parameters_to_ndarrays(found)[0], dtype=float)
        return found, metrics

    def _screen(
        self, results: list[tuple[ClientProxy, FitRes]]
    ) -> list[tuple[ClientProxy, FitRes]]:
        updates = {
            proxy.node_id: parameters_to_ndarrays(result.parameters)[0] for proxy, result in results
        }
        faults = {
            node: "its update has values that are no numbers, or another number of them"
            for node, each in updates.items()
            if each.shape != self._start.shape or not np.isfinite(each).all()
        }
        lengths = {
            node: float(np.linalg.norm(each - self._start))
            for node, each in updates.items() if node not in faults
        }  # fmt: skip
        median = float(np.median([*lengths.values()])) if lengths else 0.0
        for node, length in lengths.items():
            if length > self._largest * max(median, 1e-3) + self._noise(node):
                faults[node] = (
                    f"its update is too large: {length:.3g} long, {length / max(median, 1e-3):.0f} "
                    "times the median"
                )
        for node, reason in faults.items():
            self._grid.leave_out(node, reason)
        return [each for each in results if each[0].node_id not in faults]


class ScreenedBagging(FedXgbBagging):
    """FedXgbBagging of the trees that pass `trees.fault_of`."""

    def __init__(
        self,
        grid: WatchedGrid,
        question: Callable[[], str],
        shares: Callable[[], dict[int, float]],
        expected: int,
        learning_rate: float,
        min_sites: int,
    ) -> None:
        """Take functions that return the question, and each site's share of the loans, anew."""
        super().__init__(
            fraction_evaluate=0.0, min_train_nodes=min_sites, min_available_nodes=min_sites
        )
        self._watched, self._question, self._shares = grid, question, shares
        self._expected, self._largest = expected, trees.LARGEST_LEAF * learning_rate

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask every site that is left for trees."""
        self._watched.round = server_round
        log.info("round %d", server_round)
        config["question"] = self._question()
        return list(super().configure_train(server_round, arrays, config, grid))

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Append the trees of all sites that pass the screen."""
        kept, shares = [], self._shares()
        for reply in replies:
            if reply.has_error():
                continue
            node = reply.metadata.src_node_id
            sent = reply.content.array_records["arrays"]["0"].numpy().tobytes()
            fault = trees.fault_of(sent, self._expected, self._largest * shares[node])
            if fault is None:
                kept.append(reply)
            else:
                self._watched.leave_out(node, fault)
        if not kept:
            raise StateError(f"no site sent trees in round {server_round}; start the run again")
        found, metrics = super().aggregate_train(server_round, kept)
        return found, metrics
