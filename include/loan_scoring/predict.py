"""Score a table of applications with a pair of models: probability, decision, persona."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import Contract
from loan_scoring.contributions import Contributions
from loan_scoring.encoding import Columns, Encoder, take_apart
from loan_scoring.reasons import REASONS, in_words


@dataclass(frozen=True)
class Scorer:
    """A pair of fitted models and what is known of the personas."""

    contract: Contract
    propensity: Any
    propensity_features: list[str]
    personas: Any
    personas_features: list[str]
    persona_names: list[str]
    persona_default_rates: list[float]

    @property
    def columns(self) -> list[str]:
        """The columns that scoring reads, in the contract's order."""
        used = {*self.propensity_features, *self.personas_features}
        used |= {exclusion.column for exclusion in self.contract.exclusions}
        return [column.name for column in self.contract.inputs if column.name in used]

    def score(self, table: pa.Table) -> pa.Table:
        """Return default_probability, exclusion_reason, decision, persona, persona_default_rate.

        And reason_1 to reason_4, of those that are reviewed or declined. One row for each of
        `table`; an excluded application has a reason and decision refer, and nothing that a
        model says.
        """
        reason = exclusion_reasons(self.contract, table)
        judged = np.flatnonzero(reason.is_null().to_numpy(zero_copy_only=False))
        probability = np.full(table.num_rows, np.nan)
        cluster = np.full(table.num_rows, -1)
        told = {name: pa.nulls(table.num_rows, pa.string()) for name in REASONS}
        if len(judged):
            rows = table if len(judged) == table.num_rows else table.take(pa.array(judged))
            names = sorted({*self.propensity_features, *self.personas_features})
            columns = take_apart(rows, self.contract, names)
            encoded = self._propensity_encoder.encode(columns)
            probability[judged] = self.propensity[-1].predict_proba(encoded)[:, 1]
            cluster[judged] = self.personas[-1].predict(self._personas_encoder.encode(columns))
            doubtful = probability[judged] >= self.contract.decision.approve_below
            told = self._reasons(encoded[doubtful], columns.take(doubtful), judged[doubtful], told)
        place = pa.array(cluster, mask=cluster < 0)
        return pa.table(
            {
                "default_probability": pa.array(probability, from_pandas=True),
                "exclusion_reason": reason,
                "decision": decisions(self.contract, probability),
                "persona": pa.array(self.persona_names).take(place),
                "persona_default_rate": pa.array(self.persona_default_rates).take(place),
                **told,
            }
        )

    def _reasons(
        self,
        encoded: np.ndarray,
        columns: Columns,
        places: np.ndarray,
        nothing: dict[str, pa.Array],
    ) -> dict[str, pa.Array]:
        """Return the reasons of all rows: those at `places` are explained, the others have none."""
        if not len(places):
            return nothing
        _, contributions = self._contributions.of(encoded)
        told = in_words(self.contract, self.propensity_features, contributions, columns)
        row = np.full(len(nothing[REASONS[0]]), -1)
        row[places] = np.arange(len(places))
        at = pa.array(row, mask=row < 0)
        return {name: values.take(at) for name, values in told.items()}

    @cached_property
    def _propensity_encoder(self) -> Encoder:
        return Encoder(self.propensity[0])

    @cached_property
    def _personas_encoder(self) -> Encoder:
        return Encoder(self.personas[0])

    @cached_property
    def _contributions(self) -> Contributions:
        return Contributions(self.propensity, self.propensity_features)


def exclusion_reasons(contract: Contract, table: pa.Table) -> pa.Array:
    """Return the first reason of the contract that excludes each row, null where none does."""
    reason = pa.nulls(table.num_rows, pa.string())
    for exclusion in reversed(contract.exclusions):
        values = table.column(exclusion.column).combine_chunks()
        hit = values.is_null() if exclusion.is_null else pc.equal(values, exclusion.equals)
        reason = pc.if_else(hit.fill_null(False), exclusion.reason, reason)
    return reason


def decisions(contract: Contract, probability: np.ndarray) -> pa.Array:
    """Return the decision for each probability, refer where it is nan."""
    policy = contract.decision
    names = np.select(
        [
            np.isnan(probability),
            probability < policy.approve_below,
            probability >= policy.decline_from,
        ],
        ["refer", "approve", "decline"],
        "review",
    )
    return pa.array(names.tolist(), pa.string())
