"""Read a contract with the features with which a model was trained.

An expression may change after a model was trained. The model is scored and compared by its own
expressions until new models are promoted, because it has never seen values of the others.
"""

from typing import Any

from loan_scoring.contract.contract import Contract
from loan_scoring.errors import StateError

FIELDS = ("lookups", "features")


def derivation(contract: Contract) -> dict[str, Any]:
    """Return the look-ups and features as a model records them. Empty if the contract has none."""
    return contract.model_dump(mode="json", include={"lookups", "declared_features"})


def under_model(contract: Contract, training_data: dict[str, Any]) -> Contract:
    """Return a contract with the look-ups and features with which a model was trained.

    What the contract has declared since is kept.

    Args:
        contract: contract of the portfolio as it is now.
        training_data: of the model's row.

    Raises:
        StateError: the contract now has another column with the name of a feature.
    """
    now, then = derivation(contract), training_data.get("derivation", {})
    if then == now:
        return contract
    parts = {}
    for field in FIELDS:
        before = {each["name"]: each for each in then.get(field, [])}
        added = [each for each in now.get(field, []) if each["name"] not in before]
        parts[field] = [*before.values(), *added]
    if parts == {field: now.get(field, []) for field in FIELDS}:
        return contract  # the contract has only added to what the model knows
    try:
        return Contract.model_validate(contract.model_dump() | parts)
    except ValueError as error:
        raise StateError(
            f"{contract.portfolio}: the contract does not fit the features of the model any more: "
            f"{' '.join(str(error).split())}; restore the contract, or train new models"
        ) from error


def changed_features(contract: Contract, training_data: dict[str, Any]) -> list[str]:
    """Return a phrase for each feature that a model computes otherwise than the contract says."""
    now = {each.name: each.expression for each in contract.declared_features}
    return [
        f"{each['name']} is {each['expression']} in the model and "
        f"{now.get(each['name'], 'not declared')} in the contract"
        for each in training_data.get("derivation", {}).get("features", [])
        if now.get(each["name"]) != each["expression"]
    ]
