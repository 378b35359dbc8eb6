"""Write what a server needs to know of a contract. It is declared, and nothing of it is data."""

from typing import Any

from pydantic import ValidationError

from loan_scoring.contract import Contract
from loan_scoring.errors import ContractError

ALIVE = "alive"
"""File beside a request that who works on it touches every `BEAT_SECONDS`."""
BEAT_SECONDS = 10.0


def request_of(contract: Contract, sites: int | None = None, **changes: Any) -> dict[str, Any]:
    """Return the request of a run, ready for JSON.

    Args:
        contract: contract with a part `federated`.
        sites: number of sites to wait for. If None, one for each level of the sites' column.
        changes: fields of `federated` to change, such as `secure_aggregation`.

    Raises:
        ContractError: the contract has no such part, its number of sites is not known, or the
            changes do not fit.
    """
    policy = contract.federated
    if policy is None:
        raise ContractError(
            f"the contract of {contract.portfolio} has no part federated; add it, for example "
            "federated: {sites: {column: region}}"
        )
    if sites is None and policy.sites is None:
        raise ContractError("federated.sites has no column; give --sites NUMBER")
    levels = [] if policy.sites is None else contract.by_name[policy.sites.column].levels or []
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        policy = type(policy)(**(policy.model_dump() | given))
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, each['loc']))} {each['msg'].removeprefix('Value error, ')}".strip()
            for each in error.errors()
        )
        raise ContractError(f"federated: {told}") from error
    numbers = [each.name for each in contract.features if each.is_numeric_feature]
    return {
        "portfolio": contract.portfolio,
        "policy": policy.model_dump(),
        "sites": sites or len(levels),
        "names": levels,
        "features": [each.name for each in contract.features],
        "numbers": numbers,
        "levels": {
            each.name: list(each.levels) for each in contract.features
            if each.name not in numbers and each.levels
        },
        "directions": contract.directions,
    }  # fmt: skip
