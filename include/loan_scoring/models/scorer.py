"""Score a table of applications with a pair of models.

A score has the probability of default, its grade, the decision, its reasons, and the persona.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import Contract
from loan_scoring.features.compute import compute_features
from loan_scoring.models.contributions import Contributions
from loan_scoring.models.encoding import Columns, Encoder, split_columns
from loan_scoring.models.grading import Scale
from loan_scoring.models.reasons import REASONS, top_reasons

DECISIONS = ("approve", "review", "decline", "refer")


@dataclass(frozen=True)
class Scorer:
    """Score applications with a pair of fitted models, and explain single scores."""

    contract: Contract
    propensity: Any
    propensity_features: list[str]
    personas: Any
    personas_features: list[str]
    persona_names: list[str]
    persona_default_rates: list[float]
    scale: Scale | None = None

    @property
    def columns(self) -> list[str]:
        """The names of the columns that `score` reads, in the order of the contract.

        These are columns of the file and of look-ups. `score` computes features itself.
        """
        used = {*self.propensity_features, *self.personas_features}
        used |= {exclusion.column for exclusion in self.contract.exclusions}
        needed = self.contract.derived.closure(used)
        return [column.name for column in self.contract.joined if column.name in needed]

    def score(self, table: pa.Table, *, with_reasons: bool = True) -> pa.Table:
        """Return the scores of all applications, one row for each row of `table`.

        The columns are `default_probability`, `grade`, `exclusion_reason`, `decision`, `persona`,
        `persona_default_rate`, and `reason_1` to `reason_4`. Without a scale, `grade` is null.
        The reasons are null unless the decision is `review` or `decline`. An excluded application
        has the decision `refer` and an exclusion reason, and all its other columns are null.

        Args:
            table: applications with at least the columns that `columns` names.
            with_reasons: False leaves all reasons null, which takes less time.
        """
        exclusion = exclusion_reasons(self.contract, table)
        judged = np.flatnonzero(exclusion.is_null().to_numpy(zero_copy_only=False))
        probability = np.full(table.num_rows, np.nan)
        cluster = np.full(table.num_rows, -1)
        reasons = {name: pa.nulls(table.num_rows, pa.string()) for name in REASONS}
        if len(judged):
            names = sorted({*self.propensity_features, *self.personas_features})
            table = compute_features(self.contract, table, names)
            columns = split_columns(table, self.contract, names)
            if len(judged) < table.num_rows:
                columns = columns.take(judged)
            encoded = self._propensity_encoder.encode(columns)
            found, bins = self._contributions.probabilities(encoded)
            probability[judged] = found
            cluster[judged] = self.personas[-1].predict(self._personas_encoder.encode(columns))
            doubtful = np.flatnonzero(found >= self.contract.decision.approve_below)
            if with_reasons and len(doubtful):
                of_bins = None if bins is None else bins[doubtful]
                of_doubtful = self._reasons(encoded[doubtful], of_bins, columns.take(doubtful))
                reasons |= _scattered(of_doubtful, judged[doubtful], table.num_rows)
        place = pa.array(cluster, mask=cluster < 0)
        return pa.table(
            {
                "default_probability": pa.array(probability, from_pandas=True),
                "grade": pa.nulls(table.num_rows, pa.string())
                if self.scale is None
                else self.scale.grades(probability),
                "exclusion_reason": exclusion,
                "decision": decide_by_policy(self.contract, probability),
                "persona": pa.array(self.persona_names).take(place),
                "persona_default_rate": pa.array(self.persona_default_rates).take(place),
                **reasons,
            }
        )

    def probabilities(self, columns: Columns) -> np.ndarray:
        """Return the probability of default of rows of features, shape (rows,)."""
        return self._contributions.probabilities(self._propensity_encoder.encode(columns))[0]

    def explain(self, table: pa.Table) -> tuple[float, dict[str, float]] | None:
        """Return the base and the contribution of each feature to the log-odds of one application.

        Return None if the application is excluded.

        Args:
            table: table with one row, the application.
        """
        if exclusion_reasons(self.contract, table)[0].is_valid:
            return None
        table = compute_features(self.contract, table, self.propensity_features)
        encoded = self._propensity_encoder.encode(
            split_columns(table, self.contract, self.propensity_features)
        )
        _, bins = self._contributions.probabilities(encoded)
        base, added = self._contributions.by_feature(encoded, bins)
        return base, dict(zip(self.propensity_features, added[0].tolist(), strict=True))

    def _reasons(
        self, encoded: np.ndarray, bins: np.ndarray | None, columns: Columns
    ) -> dict[str, pa.Array]:
        _, added = self._contributions.by_feature(encoded, bins)
        return top_reasons(self.contract, self.propensity_features, added, columns)

    @cached_property
    def _propensity_encoder(self) -> Encoder:
        return Encoder(self.propensity[0])

    @cached_property
    def _personas_encoder(self) -> Encoder:
        return Encoder(self.personas[0])

    @cached_property
    def _contributions(self) -> Contributions:
        return Contributions(self.propensity, self.propensity_features)


def _scattered(values: dict[str, pa.Array], places: np.ndarray, rows: int) -> dict[str, pa.Array]:
    """Spread the rows of a short table over a longer table. Rows without a value become null.

    Args:
        values: columns of the short table, by name.
        places: for each row of the short table, its row index in the longer table.
        rows: row count of the longer table.
    """
    row = np.full(rows, -1)
    row[places] = np.arange(len(places))
    at = pa.array(row, mask=row < 0)
    return {name: column.take(at) for name, column in values.items()}


def exclusion_reasons(contract: Contract, table: pa.Table) -> pa.Array:
    """Return for each row the reason of the first exclusion that applies to the row.

    The reason is null if no exclusion applies. The order of exclusions comes from the contract.
    """
    reason = pa.nulls(table.num_rows, pa.string())
    for exclusion in reversed(contract.exclusions):
        values = table.column(exclusion.column).combine_chunks()
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.string())
        hit = values.is_null() if exclusion.is_null else pc.equal(values, exclusion.equals)
        reason = pc.if_else(hit.fill_null(False), exclusion.reason, reason)
    return reason


def decide_by_policy(contract: Contract, probability: np.ndarray) -> pa.Array:
    """Return the decision for each probability of default. The decision for nan is `refer`."""
    policy = contract.decision
    place = np.select(
        [
            np.isnan(probability),
            probability < policy.approve_below,
            probability >= policy.decline_from,
        ],
        [DECISIONS.index(word) for word in ("refer", "approve", "decline")],
        DECISIONS.index("review"),
    )
    return pa.array(DECISIONS).take(pa.array(place))
