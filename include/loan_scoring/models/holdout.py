"""Which loans are in the hold-out: decided by the key of a loan alone, so it never changes."""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring.contract import Contract

RULE = "blake2b(seed:loan_id)"
"""How membership is computed. Each model's record has it, so that a later rule can differ."""


def holdout_policy(contract: Contract) -> dict[str, Any]:
    """Return rule, seed and share of the hold-out, for a model's record."""
    training = contract.training
    return {"rule": RULE, "seed": training.seed, "share": training.holdout_share}


def holdout_members(loan_ids: pa.ChunkedArray, seed: int, share: float) -> np.ndarray:
    """Return whether each loan is in the hold-out of a policy, shape (rows,), bool.

    Seed and key are hashed to a number in [0, 1); a loan is in where it is below `share`. So a
    loan stays in as rows come and go, and a larger share contains a smaller one.
    """
    places = [_place(seed, loan_id) for loan_id in loan_ids.to_pylist()]
    return np.fromiter(places, dtype=np.float64, count=len(places)) < share


def split_holdout(contract: Contract, loan_ids: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of training and hold-out rows by the contract's policy, ascending.

    The split is not stratified. With n loans in the hold-out, its default rate has a standard
    error of sqrt(p(1-p)/n): 0.3 points for 20,000 loans.
    """
    training = contract.training
    kept = holdout_members(loan_ids, training.seed, training.holdout_share)
    return np.flatnonzero(~kept), np.flatnonzero(kept)


def _place(seed: int, loan_id: object) -> float:
    digest = hashlib.blake2b(f"{seed}:{loan_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
