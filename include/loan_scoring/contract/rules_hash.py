"""Hash the part of a contract that decides how rows are parsed."""

import hashlib
from typing import Any

from loan_scoring.contract.contract import Contract
from loan_scoring.contract.derived import stored_derivation
from loan_scoring.contract.file_formats import FORMAT_FIELDS


def row_rules_sha256(contract: Contract) -> str:
    """Return the SHA-256 of all fields of a contract that affect how rows are parsed.

    If two contracts have equal hashes, a file gives equal rows under both contracts.
    """
    parsing_fields = {
        "source", "made_from", "name", "type", "levels", "open_levels", "range", "null_tokens",
        "format", "decimal", "thousands", "currency", "is_true", "is_false", "ignore_case",
    }  # fmt: skip
    fields: dict[str, Any] = {
        "source": FORMAT_FIELDS,
        "columns": {"__all__": parsing_fields},
        "ratios": True,
    }
    if any(column.type == "datetime" for column in contract.columns):
        fields["schedules"] = {"timezone"}  # of the times without an offset
    text = contract.model_dump_json(include=fields) + stored_derivation(contract)
    return hashlib.sha256(text.encode()).hexdigest()
