"""All inputs of a batch together against the baseline: what no test of one column can see."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import ndtr

from loan_scoring.contract import MonitoringPolicy
from loan_scoring.monitoring.drift.comparison import Comparison, DriftTest
from loan_scoring.monitoring.drift.domain_classifier import domain_classifier
from loan_scoring.monitoring.drift.encode import MatrixEncoding
from loan_scoring.monitoring.drift.reconstruction import PrincipalPlane, reconstruction_error

ALL = "all"
"""The feature that joint tests are about."""
MIN_ROWS = 50
"""With fewer rows on a side there is nothing for a classifier to learn from."""
TIMES = 2
"""Rows of the baseline behind the plane, and behind its errors, as multiples of joint_rows."""
MOST_TOLD = 5
"""Columns that are named as those by which the two sides were told apart."""


@dataclass(frozen=True)
class JointBaseline:
    """The baseline's side of the joint tests, derived from its frozen sample alone."""

    encoding: MatrixEncoding
    rows: np.ndarray
    """What the classifier tells a batch from, in random order, shape (joint_rows, columns)."""
    plane: PrincipalPlane
    errors: np.ndarray
    """Of rows of the baseline that the plane was not fitted on."""
    seed: int

    @classmethod
    def fit(
        cls,
        policy: MonitoringPolicy,
        frozen: Mapping[str, Mapping[str, Any]],
        sample: pa.Table,
        seed: int,
    ) -> "JointBaseline | None":
        """Prepare the baseline's side; None where its sample is too small.

        Args:
            policy: how many rows a side the classifier is given.
            frozen: bins or levels of each column, as baseline.fit gives them.
            sample: the columns to look at, of the baseline's frozen sample.
            seed: which of its rows are taken; the same sample and seed give the same.
        """
        taken = min(sample.num_rows, 2 * TIMES * policy.joint_rows)
        if taken < 2 * MIN_ROWS:
            return None
        chosen = _some(sample, taken, seed)
        encoding = MatrixEncoding.fit(frozen, chosen)
        rows = encoding.matrix(chosen)
        standardised = encoding.standardised(rows)
        plane = PrincipalPlane.fit(standardised[::2])
        errors = plane.errors(standardised[1::2])
        return cls(encoding, rows[: policy.joint_rows], plane, errors, seed)

    def compare(self, policy: MonitoringPolicy, values: pa.Table) -> Comparison | None:
        """Run both tests on at most joint_rows rows of a batch; None where it is too small."""
        taken = min(values.num_rows, len(self.rows), policy.joint_rows)
        if taken < MIN_ROWS:
            return None
        batch = self.encoding.matrix(_some(values.select(self.encoding.names), taken, self.seed))
        told = domain_classifier(self.rows[:taken], batch)
        errors = self.plane.errors(self.encoding.standardised(batch))
        z, p_value, effect = reconstruction_error(self.errors, errors)
        # A normal shift of d standard deviations has a PSI of d squared, whatever the bins as they
        # get finer, and an AUC of Phi(d / sqrt 2): the bands of PSI are those of any effect.
        shift = policy.psi_drifted**0.5
        most = np.argsort(-told.gains)[:MOST_TOLD]
        return Comparison(
            ALL,
            [
                DriftTest(
                    "domain_classifier",
                    told.auc,
                    max(told.auc - 0.5, 0.0),
                    policy.domain_floor,
                    told.p_value,
                    drifted_from=float(ndtr(shift / 2**0.5)) - 0.5,
                ),
                DriftTest(
                    "reconstruction",
                    z,
                    effect,
                    policy.reconstruction_floor,
                    p_value,
                    drifted_from=shift,
                ),
            ],
            facts={
                "rows": taken,
                "auc": told.auc,
                "told_by": {self.encoding.names[k]: float(told.gains[k]) for k in most},
                "error": float(errors.mean()),
                "baseline_error": float(self.errors.mean()),
            },
        )


def _some(table: pa.Table, rows: int, seed: int) -> pa.Table:
    """Return so many rows of a table in random order; the seed says which."""
    order = np.random.default_rng(seed).permutation(table.num_rows)[:rows]
    return table.take(pa.array(order))
