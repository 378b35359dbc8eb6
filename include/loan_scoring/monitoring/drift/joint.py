"""Compare all inputs of a batch at once with the baseline: the joint tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtr

from loan_scoring.contract import MonitoringPolicy
from loan_scoring.models.numbers import as_floats
from loan_scoring.monitoring.drift.comparison import Comparison, DriftTest
from loan_scoring.monitoring.drift.joint_tests import (
    PrincipalPlane,
    domain_classifier,
    reconstruction_error,
)

ALL = "all"
"""The feature name of the joint tests in table `drift`."""
MIN_ROWS = 50
"""Minimum number of rows of the batch and of the baseline for the joint tests."""
TIMES = 2
"""The plane is fitted on up to TIMES x `joint_rows` rows of the baseline.

The errors of the baseline are measured on as many other rows.
"""
MOST_NAMED = 5
"""Maximum number of columns in an alert's evidence.

These are the columns by which the classifier best separates the batch from the baseline.
"""
MOST_LEVELS = 32
"""Maximum number of levels per category with a code of their own.

The most frequent levels get a code of their own. All other levels share one code.
"""
TAIL = 0.01
"""Share of a numeric column's values that is clipped at each end before standardising."""


@dataclass(frozen=True)
class JointBaseline:
    """The baseline of the joint tests: encoding, rows, plane and reconstruction errors."""

    encoding: "MatrixEncoding"
    rows: np.ndarray
    """Rows of the baseline for the classifier, in random order, shape (<= joint_rows, columns)."""
    plane: PrincipalPlane
    errors: np.ndarray
    """Reconstruction errors of baseline rows that the plane was not fitted on, shape (rows,)."""
    seed: int

    @classmethod
    def fit(
        cls,
        policy: MonitoringPolicy,
        frozen: Mapping[str, Mapping[str, Any]],
        sample: pa.Table,
        seed: int,
    ) -> "JointBaseline | None":
        """Prepare the baseline for the joint tests.

        Return None if the sample has fewer than 2 x MIN_ROWS rows.

        Args:
            policy: monitoring policy, whose `joint_rows` is the maximum number of baseline rows
                for the classifier.
            frozen: bins or levels of each column, from `models.baseline.fit_baseline`.
            sample: inputs of the baseline's frozen sample.
            seed: random seed for choosing rows. The same sample and seed give the same rows.
        """
        taken = min(sample.num_rows, 2 * TIMES * policy.joint_rows)
        if taken < 2 * MIN_ROWS:
            return None
        chosen = _random_rows(sample, taken, seed)
        encoding = MatrixEncoding.fit(frozen, chosen)
        rows = encoding.matrix(chosen)
        standardised = encoding.standardised(rows)
        plane = PrincipalPlane.fit(standardised[::2])
        errors = plane.errors(standardised[1::2])
        return cls(encoding, rows[: policy.joint_rows], plane, errors, seed)

    def compare(self, policy: MonitoringPolicy, values: pa.Table) -> Comparison | None:
        """Run the joint tests on at most `joint_rows` random rows of a batch.

        Return None if the batch has fewer than MIN_ROWS rows.
        """
        taken = min(values.num_rows, len(self.rows), policy.joint_rows)
        if taken < MIN_ROWS:
            return None
        chosen = _random_rows(values.select(self.encoding.names), taken, self.seed)
        batch = self.encoding.matrix(chosen)
        separation = domain_classifier(self.rows[:taken], batch)
        errors = self.plane.errors(self.encoding.standardised(batch))
        z, p_value, effect = reconstruction_error(self.errors, errors)
        # The joint tests have no PSI, so `psi_drifted` is converted into an effect of each test.
        # If a normal variable shifts by d standard deviations, the AUC is Phi(d / sqrt 2) and the
        # PSI approaches d squared as bins get finer.
        shift = policy.psi_drifted**0.5
        most = np.argsort(-separation.gains)[:MOST_NAMED]
        return Comparison(
            ALL,
            [
                DriftTest(
                    "domain_classifier",
                    separation.auc,
                    max(separation.auc - 0.5, 0.0),
                    policy.domain_floor,
                    separation.p_value,
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
                "auc": separation.auc,
                "told_by": {self.encoding.names[k]: float(separation.gains[k]) for k in most},
                "error": float(errors.mean()),
                "baseline_error": float(self.errors.mean()),
            },
        )


def _random_rows(table: pa.Table, rows: int, seed: int) -> pa.Table:
    """Return at most `rows` rows of a table in random order, chosen by the seed."""
    order = np.random.default_rng(seed).permutation(table.num_rows)[:rows]
    return table.take(pa.array(order))


@dataclass(frozen=True)
class MatrixEncoding:
    """Encode numeric columns and categories as one matrix, with codes learnt on the baseline."""

    levels: dict[str, list[str]]
    """The levels of each category that have a code of their own, the most frequent first."""
    tails: dict[str, tuple[float, float]]
    """The lowest and the highest value of each numeric column after clipping."""
    moments: dict[str, tuple[float, float]]
    """The mean and the standard deviation of each numeric column after clipping."""

    @classmethod
    def fit(cls, frozen: Mapping[str, Mapping[str, Any]], sample: pa.Table) -> "MatrixEncoding":
        """Learn the levels, tails and moments of a baseline's columns.

        Args:
            frozen: bins or levels of each column, from `models.baseline.fit_baseline`.
            sample: rows of the baseline's frozen sample.
        """
        levels, tails, moments = {}, {}, {}
        for name in sample.column_names:
            if "levels" in frozen[name]:
                levels[name] = list(frozen[name]["levels"])[:MOST_LEVELS]
                continue
            numbers = as_floats(sample.column(name).drop_null())
            low, high = np.quantile(numbers, [TAIL, 1 - TAIL]) if len(numbers) else (0.0, 0.0)
            clipped = np.clip(numbers, low, high)
            tails[name] = (float(low), float(high))
            moments[name] = (
                (float(clipped.mean()), float(clipped.std())) if len(numbers) else (0.0, 0.0)
            )
        return cls(levels, tails, moments)

    @property
    def names(self) -> list[str]:
        """Return the names of the matrix's columns: numeric columns first, then categories."""
        return [*self.tails, *self.levels]

    def matrix(self, table: pa.Table) -> np.ndarray:
        """Return a table as a matrix of numeric values and level codes, shape (rows, columns).

        A null is nan. A level that is not in `levels` has the code len(levels).
        """
        encoded = np.empty((table.num_rows, len(self.names)))
        for place, name in enumerate(self.names):
            values = table.column(name).combine_chunks()
            if name in self.levels:
                values = values.cast(pa.string())  # a batch may hold texts as codes
                known = pa.array(self.levels[name], pa.string())
                codes = pc.index_in(values, value_set=known).fill_null(len(known))
                values = pc.if_else(values.is_valid(), codes, pa.scalar(None, codes.type))
            encoded[:, place] = as_floats(values)
        return encoded

    def standardised(self, matrix: np.ndarray) -> np.ndarray:
        """Return the matrix for PCA: standardised, without nan, shape (rows, width), float32.

        A numeric column becomes two columns. The first holds the values, clipped to the column's
        tails because otherwise one huge income could be nearly all of the variance. The clipped
        values are then standardised, and a null becomes the mean. The second column holds 1 where
        the value is null, and 0 elsewhere.

        A category becomes one column of 0 and 1 for each level that has a code of its own, one
        column for all other levels, and one column for null. The variance of such a column is at
        most 1/4 and is small for a rare level, whereas a standardised numeric column has variance
        1.
        """
        places = 2 * len(self.tails) + sum(len(levels) + 2 for levels in self.levels.values())
        rows, start = np.arange(len(matrix)), 2 * len(self.tails)
        is_null = np.isnan(matrix)
        found = np.zeros((len(matrix), places), np.float32)
        for place, name in enumerate(self.tails):
            mean, spread = self.moments[name]
            clipped = np.clip(matrix[:, place], *self.tails[name])
            found[:, 2 * place] = np.nan_to_num((clipped - mean) / (spread or 1.0))
            found[:, 2 * place + 1] = is_null[:, place]
        for place, name in enumerate(self.levels, len(self.tails)):
            width = len(self.levels[name]) + 2
            codes = np.where(is_null[:, place], width - 1, matrix[:, place]).astype(np.intp)
            found[rows, start + codes] = 1
            start += width
        return found
