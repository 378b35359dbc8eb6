"""Define the base class of all parts of a contract."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ContractPart(BaseModel):
    """Base class of all parts of a contract.

    A field that the class does not define is a validation error, and values are read-only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


def left_out_if(default: Any) -> Any:
    """Return a field with a default value that is left out of dumps if it has this value.

    So a contract without a newer field keeps its hashes and the fingerprint of its models.
    """
    return Field(default=default, exclude_if=lambda value: value == default)
