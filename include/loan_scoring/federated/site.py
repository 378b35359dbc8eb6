"""Answer a server's questions at one site, from the loans of this site only."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from loan_scoring.contract import Contract
from loan_scoring.contract.federated import LINEAR, FederatedPolicy
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.federated import agreement, linear, trees
from loan_scoring.federated.agreement import Scheme
from loan_scoring.models.training.fit import TrainingParts, split_rows
from loan_scoring.models.training.rows import TrainingRows, freeze_rows
from loan_scoring.statistics.auc import delong


@dataclass(frozen=True)
class Question:
    """What the server asks: a task, the scheme so far, and further arguments."""

    task: str
    scheme: Scheme
    arguments: dict[str, Any]

    @staticmethod
    def read(text: str) -> "Question":
        """Return the question in a message."""
        found = json.loads(text)
        return Question(found["task"], found["scheme"], found["arguments"])

    def text(self) -> str:
        """Return the question as text of a message."""
        return json.dumps(vars(self))


@dataclass(frozen=True)
class Site:
    """The loans of one site, split into training set and hold-out as training does it."""

    name: str
    contract: Contract
    X: pd.DataFrame
    y: np.ndarray
    X_test: pd.DataFrame
    y_test: np.ndarray

    @cached_property
    def policy(self) -> FederatedPolicy:
        """What this site's own contract allows."""
        return policy_of(self.contract)

    def describe(self) -> dict[str, Any]:
        """Return name, number of loans, and the features that this site can use.

        Raises:
            StateError: the site has too few loans of an outcome.
        """
        least = min(int(self.y.sum()), int(len(self.y) - self.y.sum()))
        if least < self.policy.min_loans:
            raise StateError(
                f"site {self.name} has fewer than {self.policy.min_loans} defaulted or paid loans "
                "in its training set; ingest more history, or leave the site out"
            )
        terms = self.policy.model_dump(include={"min_loans", "epsilon", "delta"})
        return {"site": self.name, "loans": len(self.y), "features": list(self.X.columns),
                "terms": terms}  # fmt: skip

    def answer(self, question: Question, start: np.ndarray) -> np.ndarray:
        """Return the vector that a question asks for, to be averaged by the number of loans."""
        if question.task == "fit":
            self._check_algorithm(question.arguments["algorithm"])
            return self._fit(question, start)
        # Noise hides a loan better than a limit, and a limit would let one loan move a count more.
        small = 0 if self.policy.epsilon is not None else self.policy.min_loans
        scheme, parts = question.scheme, []
        if question.task in ("coarse", "fine"):
            for name in scheme["numbers"]:
                edges = agreement.COARSE
                if question.task == "fine":
                    edges = agreement.fine_edges(*question.arguments["between"][name])
                parts.append(agreement.count_cells(self.X[name].to_numpy(float), edges, small))
            for name in scheme["categories"] if question.task == "coarse" else ():
                levels = self.contract.by_name[name].levels or []
                parts.append(agreement.count_levels(self.X[name], levels, small))
            parts.append(np.array([self.y.sum()], dtype=float))
        elif question.task == "bins":
            encoders = agreement.binned_numbers(scheme), agreement.binned_levels(scheme)
            for names, part in zip(
                (scheme["numbers"], scheme["categories"]), encoders, strict=True
            ):
                for place, name in enumerate(names):
                    bins = part.bins(place, self.X[name])
                    size = question.arguments["sizes"][name]
                    parts += _by_bin(bins, self.y, size, small)
        elif question.task == "moments":
            encoded = self._encoded(scheme, question.arguments["algorithm"])
            rows = len(encoded)
            used = (encoded != 0).sum(axis=0)
            # A column that few loans have, or that few lack, would tell of these loans.
            few, lacking = used < small, (rows - used < small) & (rows > used)
            means = np.where(few, 0.0, encoded.sum(axis=0))
            squares = np.where(few, 0.0, (encoded**2).sum(axis=0))
            whole = lacking & np.isin(encoded, (0, 1)).all(axis=0)
            parts = [np.where(whole, rows, means), np.where(whole, rows, squares)]
        else:
            raise StateError(f"site {self.name} does not answer '{question.task}'")
        return np.concatenate(parts) / len(self.y)

    def sensitivity(self, question: Question) -> float:
        """Return how far one other loan can move an answer, for differential privacy.

        If a loan is another one, the count of each column changes by one in at most two cells, and
        so do the sums of its encoded columns and those of their squares.
        """
        loans, scheme = len(self.y), question.scheme
        if question.task == "fit":
            columns = len(question.arguments["means"])
            return linear.sensitivity(columns, loans, self.policy.proximal)
        return counts_sensitivity(len(scheme["numbers"]) + len(scheme["categories"])) / loans

    def boost(self, question: Question, model: bytes) -> bytes:
        """Return the trees that this site adds to the common model."""
        self._check_algorithm("xgboost")
        return trees.boost(
            self._rows(question.scheme), self.y, model, boosting_of(self.contract, question),
            len(self.y) / question.arguments["loans"], question.scheme,
        )  # fmt: skip

    def evaluate(self, question: Question) -> dict[str, Any]:
        """Return the AUC on this site's hold-out, of the common model and of one fitted here alone.

        Small hold-outs are not told.
        """
        least = min(int(self.y_test.sum()), int(len(self.y_test) - self.y_test.sum()))
        if least < self.policy.min_loans:
            return {"loans": 0}
        found: dict[str, Any] = {"loans": len(self.y_test)}
        models = {"federated": question.arguments["model"], "alone": self.alone(question)}
        for name, model in models.items():
            margins = log_odds(model, question.scheme, self.X_test)
            found[name] = dict(zip(("auc", "error"), delong(self.y_test, margins), strict=True))
        return found

    def alone(self, question: Question) -> dict[str, Any]:
        """Return a model of the same algorithm that is fitted to this site's loans only."""
        arguments = question.arguments
        if arguments["algorithm"] not in LINEAR:
            boosting = boosting_of(self.contract, question, arguments["rounds"])
            found = trees.boost(
                self._rows(question.scheme), self.y, b"", boosting, 1.0, question.scheme
            )
            return {"algorithm": arguments["algorithm"], "trees": found.decode()}
        encoded = self._encoded(question.scheme, arguments["algorithm"])
        standard = linear.standard_of(encoded.mean(axis=0), (encoded**2).mean(axis=0))
        weights = linear.fit_near(
            standard.apply(encoded), self.y, np.zeros(encoded.shape[1] + 1), 0.0,
            is_card=arguments["algorithm"] == "scorecard",
        )  # fmt: skip
        return linear_model(arguments["algorithm"], standard, weights)

    def _fit(self, question: Question, start: np.ndarray) -> np.ndarray:
        arguments = question.arguments
        standard = linear.Standard(np.array(arguments["means"]), np.array(arguments["deviations"]))
        Z = standard.apply(self._encoded(question.scheme, arguments["algorithm"]))
        if self.policy.epsilon is not None:
            Z = linear.clip_rows(Z)
        return linear.fit_near(
            Z, self.y, start, self.policy.proximal,
            is_card=arguments["algorithm"] == "scorecard",
        )  # fmt: skip

    def _check_algorithm(self, asked: str) -> None:
        """Refuse what this site's contract does not train: its limits may not hold for it."""
        if asked != self.policy.algorithm:
            raise StateError(
                f"site {self.name} trains {self.policy.algorithm}, and the server asks for "
                f"{asked}; set federated.algorithm alike"
            )

    def _encoded(self, scheme: Scheme, algorithm: str) -> np.ndarray:
        encoder = agreement.build_encoder(scheme, algorithm)
        return np.asarray(encoder.transform(self.X[[*scheme["numbers"], *scheme["categories"]]]))

    def _rows(self, scheme: Scheme) -> np.ndarray:
        X = self.X[[*scheme["numbers"], *scheme["categories"]]]
        return trees.to_edges(X, scheme, self.policy.min_loans)


def _by_bin(bins: np.ndarray, y: np.ndarray, size: int, small: int) -> list[np.ndarray]:
    """Return loans and defaults by bin. A bin with few loans of an outcome is sent as empty."""
    loans = np.bincount(bins, minlength=size).astype(float)
    defaults = np.bincount(bins, y, minlength=size)
    told = (defaults >= small) & (loans - defaults >= small)
    return [np.where(told, loans, 0.0), np.where(told, defaults, 0.0)]


def counts_sensitivity(columns: int) -> float:
    """Return how far another loan can move the counts of columns, and the sum of defaults."""
    return float(np.sqrt(4 * columns + 1))


def policy_of(contract: Contract) -> FederatedPolicy:
    """Return the part `federated` of a contract.

    Raises:
        StateError: the contract has none.
    """
    if contract.federated is None:
        raise StateError(
            f"the contract of {contract.portfolio} has no part federated; add it "
            "(docs/data-contract.md, Federated)"
        )
    return contract.federated


def boosting_of(contract: Contract, question: Question, rounds: int = 1) -> trees.Boosting:
    """Return the parameters of a boosting. The server states them, `min_loans` the site itself."""
    arguments, scheme = question.arguments, question.scheme
    numbers = [contract.directions.get(name, 0) for name in scheme["numbers"]]
    return trees.Boosting(
        arguments["learning_rate"], arguments["max_depth"], policy_of(contract).min_loans,
        arguments["trees"] * rounds, scheme["rate"], numbers + [0] * len(scheme["categories"]),
    )  # fmt: skip


def linear_model(algorithm: str, standard: linear.Standard, weights: np.ndarray) -> dict[str, Any]:
    """Return a linear model as JSON, for columns as they are encoded."""
    coefficients, intercept = standard.coefficients(weights)
    return {
        "algorithm": algorithm,
        "coefficients": coefficients.tolist(),
        "intercept": intercept,
        "means": standard.means.tolist(),
    }


def log_odds(model: dict[str, Any], scheme: Scheme, X: pd.DataFrame) -> np.ndarray:
    """Return the log-odds of default that a model in JSON gives to rows of features."""
    columns = X[[*scheme["numbers"], *scheme["categories"]]]
    if model["algorithm"] not in LINEAR:
        import xgboost

        encoded = agreement.build_encoder(scheme, "xgboost").transform(columns)
        matrix = xgboost.DMatrix(np.asarray(encoded, dtype=np.float32), nthread=1)
        found = trees.load(model["trees"].encode()).predict(matrix, output_margin=True)
        return np.asarray(found, dtype=float)
    encoded = agreement.build_encoder(scheme, model["algorithm"]).transform(columns)
    return np.asarray(encoded @ np.array(model["coefficients"]) + model["intercept"])


def read_site(session: Session, name: str, level: str | None) -> Site:
    """Return a site from its own database, or from a level of `federated.sites.column`.

    Raises:
        StateError: the site has too few loans.
    """
    policy_of(session.contract)
    return site_of(session.contract, freeze_rows(session), name, level)


def site_of(contract: Contract, training: TrainingRows, name: str, level: str | None) -> Site:
    """Return the site of those rows of a training that have a level, or of all rows."""
    parts = split_rows(contract, training)
    rows = np.ones(len(parts.y), dtype=bool)
    if level is not None:
        sites = policy_of(contract).sites
        if sites is None:
            raise StateError(
                f"federated.sites of {contract.portfolio} names no column, so it has no '{level}'"
            )
        values = training.table.column(sites.column)
        rows = pa.compute.equal(values, level).fill_null(False).to_numpy()
    return cut_site(contract, parts, rows, name)


def cut_site(contract: Contract, parts: TrainingParts, rows: np.ndarray, name: str) -> Site:
    """Return the site of the rows in a mask."""
    learn, test = (each[rows[each]] for each in (parts.learn, parts.test))
    return Site(
        name, contract, parts.X.iloc[learn], parts.y[learn], parts.X.iloc[test], parts.y[test]
    )
