"""Decide which loans are in the hold-out.

The decision depends only on `loan_id`, seed and share, so it does not change when data is added.
"""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring.contract import Contract

RULE = "blake2b(seed:loan_id)"
"""The rule that decides whether a loan is in the hold-out.

The rule is stored with each model, so that models of an older rule can be recognized if the rule
ever changes.
"""


def holdout_policy(contract: Contract) -> dict[str, Any]:
    """Return rule, seed and share of the contract's hold-out, to be stored with a model."""
    training = contract.training
    return {"rule": RULE, "seed": training.seed, "share": training.holdout_share}


def holdout_members(loan_ids: pa.ChunkedArray, seed: int, share: float) -> np.ndarray:
    """Return True for each loan that is in the hold-out, shape (rows,).

    Seed and `loan_id` are hashed to a number in [0, 1). The loan is in the hold-out if this number
    is below `share`. So a loan stays in the hold-out when other rows are added or removed. With
    the same seed, the hold-out of a larger share contains the hold-out of a smaller share.
    """
    places = [_place(seed, loan_id) for loan_id in loan_ids.to_pylist()]
    return np.fromiter(places, dtype=np.float64, count=len(places)) < share


def split_holdout(contract: Contract, loan_ids: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the row indices of the training set and of the hold-out, both in ascending order.

    Seed and share come from the contract. The split is not stratified by outcome. So the default
    rate p of a hold-out with n loans has a standard error of sqrt(p(1-p)/n). For 20,000 loans and
    p = 0.25 this is about 0.3 percentage points.
    """
    training = contract.training
    kept = holdout_members(loan_ids, training.seed, training.holdout_share)
    return np.flatnonzero(~kept), np.flatnonzero(kept)


def _place(seed: int, loan_id: object) -> float:
    digest = hashlib.blake2b(f"{seed}:{loan_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
