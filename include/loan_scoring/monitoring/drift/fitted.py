"""The whole baseline of a model, fitted once: what any number of batches are then held against."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from loan_scoring.contract import Contract, MonitoringPolicy
from loan_scoring.models.baseline import PREDICTIONS
from loan_scoring.monitoring.drift.compare import BaselineColumn
from loan_scoring.monitoring.drift.comparison import Comparison
from loan_scoring.monitoring.drift.joint import JointBaseline


@dataclass(frozen=True)
class FittedBaseline:
    """Every watched column of a baseline, and its inputs together."""

    columns: dict[str, BaselineColumn]
    joint: JointBaseline | None
    """None where the sample is too small for joint tests."""

    @classmethod
    def fit(
        cls, contract: Contract, frozen: Mapping[str, Any], sample: pa.Table
    ) -> "FittedBaseline":
        """Prepare what is frozen of a model, and its sample.

        A column that the contract has come to watch since, or a prediction that scoring has come
        to write, is not in the baseline and is left out.
        """
        inputs = [column.name for column in contract.monitored if column.name in frozen]
        outputs = [name for name in PREDICTIONS if name in frozen]
        return cls(
            {
                name: BaselineColumn.fit(frozen[name], sample.column(name))
                for name in [*inputs, *outputs]
            },
            JointBaseline.fit(
                contract.monitoring, frozen, sample.select(inputs), contract.training.seed
            ),
        )

    @property
    def inputs(self) -> list[str]:
        """The columns of an application that are watched, in the contract's order."""
        return [name for name in self.columns if name not in PREDICTIONS]

    @property
    def outputs(self) -> list[str]:
        """What scoring writes and is watched."""
        return [name for name in self.columns if name in PREDICTIONS]

    def together(self, policy: MonitoringPolicy, batch: pa.Table) -> list[Comparison]:
        """Return the joint tests of a batch's inputs, none where a side is too small for them."""
        found = self.joint.compare(policy, batch) if self.joint else None
        return [found] if found else []
