"""Compare all inputs of a batch together with the baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtr

from loan_scoring.contract import MonitoringPolicy
from loan_scoring.monitoring.drift.comparison import Comparison, DriftTest
from loan_scoring.monitoring.drift.joint_tests import (
    PrincipalPlane,
    domain_classifier,
    reconstruction_error,
)

ALL = "all"
"""The feature that the rows of the joint tests carry in `drift`."""
MIN_ROWS = 50
"""Rows of a side below which the joint tests are left out."""
TIMES = 2
"""Rows of the baseline behind the plane, and behind its errors, as multiples of joint_rows."""
MOST_NAMED = 5
"""Columns named as those that separate the batch best."""
MOST_LEVELS = 32
"""Levels with a code of their own, the most frequent ones; all others share one code."""
TAIL = 0.01
"""Share of a number's values on each side that is clipped before it is standardised."""


@dataclass(frozen=True)
class JointBaseline:
    """The baseline's side of the joint tests, derived from its frozen sample alone."""

    encoding: "MatrixEncoding"
    rows: np.ndarray
    """What the classifier separates a batch from, in random order, shape (joint_rows, columns)."""
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
        """Return the baseline's side; None where its sample is too small.

        Args:
            policy: how many rows of each side the classifier is given.
            frozen: bins or levels of each column, from baseline.fit.
            sample: the inputs of the baseline's frozen sample.
            seed: chooses the rows; the same sample and seed give the same rows.
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
        """Run both tests on at most joint_rows rows of a batch; None where it is too small."""
        taken = min(values.num_rows, len(self.rows), policy.joint_rows)
        if taken < MIN_ROWS:
            return None
        chosen = _random_rows(values.select(self.encoding.names), taken, self.seed)
        batch = self.encoding.matrix(chosen)
        separation = domain_classifier(self.rows[:taken], batch)
        errors = self.plane.errors(self.encoding.standardised(batch))
        z, p_value, effect = reconstruction_error(self.errors, errors)
        # A normal shift of d standard deviations has an AUC of Phi(d / sqrt 2) and, as bins get
        # finer, a PSI of d squared: so the upper band of PSI is an effect of these tests too.
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
    """Return this many rows of a table in random order; the seed chooses them."""
    order = np.random.default_rng(seed).permutation(table.num_rows)[:rows]
    return table.take(pa.array(order))


@dataclass(frozen=True)
class MatrixEncoding:
    """Encode inputs of all types as one matrix, by the baseline's levels, tails and moments."""

    levels: dict[str, list[str]]
    """Of each category, the most frequent first."""
    tails: dict[str, tuple[float, float]]
    """Of each number, the lowest and highest value after clipping."""
    moments: dict[str, tuple[float, float]]
    """Of each clipped number, mean and standard deviation."""

    @classmethod
    def fit(cls, frozen: Mapping[str, Mapping[str, Any]], sample: pa.Table) -> "MatrixEncoding":
        """Return the encoding of a baseline's columns.

        Args:
            frozen: bins or levels of each column, from baseline.fit.
            sample: rows of the baseline's frozen sample.
        """
        levels, tails, moments = {}, {}, {}
        for name in sample.column_names:
            if "levels" in frozen[name]:
                levels[name] = list(frozen[name]["levels"])[:MOST_LEVELS]
                continue
            numbers = sample.column(name).drop_null().cast(pa.float64()).to_numpy()
            low, high = np.quantile(numbers, [TAIL, 1 - TAIL]) if len(numbers) else (0.0, 0.0)
            clipped = np.clip(numbers, low, high)
            tails[name] = (float(low), float(high))
            moments[name] = (
                (float(clipped.mean()), float(clipped.std())) if len(numbers) else (0.0, 0.0)
            )
        return cls(levels, tails, moments)

    @property
    def names(self) -> list[str]:
        """The matrix's columns: numbers first, then categories."""
        return [*self.tails, *self.levels]

    def matrix(self, table: pa.Table) -> np.ndarray:
        """Return numbers as they are and categories as codes, nan for null, (rows, columns).

        All levels outside `levels` have one code, the one after the last.
        """
        encoded = np.empty((table.num_rows, len(self.names)))
        for place, name in enumerate(self.names):
            values = table.column(name).combine_chunks()
            if name in self.levels:
                known = pa.array(self.levels[name], pa.string())
                codes = pc.index_in(values, value_set=known).fill_null(len(known))
                values = pc.if_else(values.is_valid(), codes, pa.scalar(None, codes.type))
            encoded[:, place] = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return encoded

    def standardised(self, matrix: np.ndarray) -> np.ndarray:
        """Return a matrix as PCA takes it, shape (rows, width), float32, no nan.

        A number is clipped to its tails and standardised, so that one huge income is not the
        whole variance; a null becomes the mean. Each level is a column of 0 and 1: its variance
        is at most a quarter of a number's, and small for a rare level. Nulls have a column too,
        and so have the levels without a code of their own.
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
