"""Contracts as files: find one by its name, and say its first mistake in one line."""

from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from loan_scoring import settings
from loan_scoring.contract.contract import Contract
from loan_scoring.errors import ContractError


def load(portfolio: str) -> Contract:
    """Read the contract of a portfolio by its name.

    Raises:
        ContractError: no such file, or a mistake in it; the text names file, field and reason.
    """
    path = settings.portfolios_dir() / f"{portfolio}.yaml"
    if not path.is_file():
        known = ", ".join(names()) or "none"
        raise ContractError(f"no contract {path}; portfolios there: {known}")
    return read(path)


def names() -> list[str]:
    """Return the names of all portfolios that have a contract, sorted."""
    return sorted(path.stem for path in settings.portfolios_dir().glob("*.yaml"))


def read(path: Path) -> Contract:
    """Read one contract file.

    Raises:
        ContractError: unreadable YAML or a mistake; the text names file, field and reason.
    """
    try:
        # The parser in C: every task reads every contract with its DAG's file, 6 ms instead of 60.
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise ContractError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise ContractError(
            f"{path}: a contract is a mapping of fields, found {type(raw).__name__}"
        )
    try:
        contract = Contract.model_validate(raw)
    except ValidationError as error:
        raise ContractError(f"{path}: {_one_line(error, raw)}") from error
    if contract.portfolio != path.stem:
        raise ContractError(
            f"{path}: portfolio: '{contract.portfolio}' must be the file's name, '{path.stem}'"
        )
    return contract


def _one_line(error: ValidationError, raw: dict[str, Any]) -> str:
    """Say the first mistake as `field: reason`, with list places told by the column's name."""
    errors = error.errors(include_url=False)
    # A misspelt field is also a missing one: the misspelling is what the writer must see.
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    place: list[str] = []
    inside: Any = raw
    for step in first["loc"]:
        inside = inside[step] if _has(inside, step) else None
        named = inside.get("name") or inside.get("source") if isinstance(inside, dict) else None
        place.append(str(named) if isinstance(step, int) and named else str(step))
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        reason = "no such field"
    elif first["type"] not in ("value_error", "missing"):
        reason += f", found {first['input']!r}"
        if first["type"] == "string_type" and isinstance(first["input"], bool | int | float | date):
            reason += "; YAML reads it so: put it in quotes"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{'.'.join(place) + ': ' if place else ''}{reason}{more}"


def _has(inside: Any, step: int | str) -> bool:
    if isinstance(inside, dict):
        return step in inside
    return isinstance(inside, list) and isinstance(step, int) and step < len(inside)
