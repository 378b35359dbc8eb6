"""Which loans are kept from training for ever: told by their key, whatever else is in the data."""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring.contract import Contract

RULE = "blake2b(seed:loan_id)"
"""How membership is told; a model's record names it, so that an older rule can be told apart."""


def holdout_policy(contract: Contract) -> dict[str, Any]:
    """Return what decides who is in the hold-out, for a model's record."""
    training = contract.training
    return {"rule": RULE, "seed": training.seed, "share": training.holdout_share}


def holdout_members(loan_ids: pa.ChunkedArray, seed: int, share: float) -> np.ndarray:
    """Return whether each loan is in the hold-out of a policy, shape (rows,), bool.

    A loan's place is a hash of seed and key in [0, 1); below `share` it is in. Whoever is in stays
    in as rows come and go, and a larger share holds all of a smaller one.
    """
    places = [_place(seed, loan_id) for loan_id in loan_ids.to_pylist()]
    return np.fromiter(places, dtype=np.float64, count=len(places)) < share


def split_holdout(contract: Contract, loan_ids: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of training and hold-out rows by the contract's policy, ascending.

    Classes are balanced as far as chance balances them: with n loans in the hold-out their default
    rate is off by sqrt(p(1-p)/n), 0.3 points for 20,000 loans.
    """
    training = contract.training
    kept = holdout_members(loan_ids, training.seed, training.holdout_share)
    return np.flatnonzero(~kept), np.flatnonzero(kept)


def _place(seed: int, loan_id: object) -> float:
    digest = hashlib.blake2b(f"{seed}:{loan_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
