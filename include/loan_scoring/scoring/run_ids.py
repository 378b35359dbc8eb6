"""Derive the id of a scoring run, so that the same work always has the same id."""

import hashlib
import json
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.scoring.canary import canary_in_effect


def identify_run(
    session: Session, batch_id: str, revision: int, propensity: str, personas: str
) -> tuple[str, dict[str, Any] | None]:
    """Return the id of the run that planning gives now, and its canary or None.

    If a run of the batch with these models and this policy was published, it is returned with its
    canary, so that a night which is scored again has the same split.
    """
    with database.transaction(session.connection):
        known = published_run(session, batch_id, revision, propensity, personas)
    if known is not None:
        return known["scoring_run_id"], known["canary"]
    canary = canary_in_effect(session, propensity)
    ids = (batch_id, revision, propensity, personas)
    return derive_run_id(session.contract, *ids, canary), canary


def published_run(
    session: Session, batch_id: str, revision: int, propensity: str, personas: str
) -> database.Row | None:
    """Return id and canary of the last published run with these models and the contract's policy.

    The arguments are those of `derive_run_id`.
    """
    return database.row(
        session.connection,
        "select_published_run",
        batch_id=batch_id,
        revision=revision,
        propensity_version=propensity,
        personas_version=personas,
        policy=policy_text(session.contract),
    )


def derive_run_id(
    contract: Contract,
    batch_id: str,
    revision: int,
    propensity: str,
    personas: str,
    canary: dict[str, Any] | None = None,
) -> str:
    """Return the id of a scoring run, derived from batch, revision, models, policy and canary.

    Args:
        contract: contract of the portfolio.
        batch_id: batch to score.
        revision: revision of the batch.
        propensity: version of the propensity model.
        personas: version of the personas model.
        canary: canary of the run, as `canary_in_effect` returns it, or None.
    """
    run_id = f"{batch_id}-r{revision}-{propensity}-{personas}-{policy_hash(contract)}"
    if canary is None:
        return run_id
    split = hashlib.sha256(json.dumps(canary, sort_keys=True).encode()).hexdigest()
    return f"{run_id}-canary-{canary['propensity_version']}-{split[:8]}"


def lake_run_id(contract: Contract, batch_id: str, propensity: str, personas: str) -> str:
    """Return the id of a run over applications of a lake, which have no revisions."""
    policy = hashlib.sha256(policy_text(contract).encode()).hexdigest()
    return f"{batch_id}-lake-{propensity}-{personas}-{policy[:8]}"


def policy_text(contract: Contract) -> str:
    """Return the contract's policy as a scoring run stores it."""
    return json.dumps(contract.policy, sort_keys=True)


def policy_hash(contract: Contract) -> str:
    """Return the short hash of the contract's policy that is part of the id of a run."""
    return hashlib.sha256(policy_text(contract).encode()).hexdigest()[:8]
