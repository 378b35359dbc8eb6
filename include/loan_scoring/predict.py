"""Score a table of applications with a pair of models: probability, decision, persona."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import Contract
from loan_scoring.features import frame
from loan_scoring.propensity import probabilities


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

        One row for each of `table`; an excluded application has a reason and decision refer, and
        nothing that a model says.
        """
        reason = exclusion_reasons(self.contract, table)
        judged = np.flatnonzero(reason.is_null().to_numpy(zero_copy_only=False))
        probability = np.full(table.num_rows, np.nan)
        cluster = np.full(table.num_rows, -1)
        if len(judged):
            rows = table.take(pa.array(judged))
            X = frame(rows, self.contract, self.propensity_features)
            probability[judged] = probabilities(self.propensity, X)
            X = frame(rows, self.contract, self.personas_features)
            cluster[judged] = self.personas.predict(X)
        place = pa.array(cluster, mask=cluster < 0)
        return pa.table(
            {
                "default_probability": pa.array(probability, from_pandas=True),
                "exclusion_reason": reason,
                "decision": decisions(self.contract, probability),
                "persona": pa.array(self.persona_names).take(place),
                "persona_default_rate": pa.array(self.persona_default_rates).take(place),
            }
        )


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
