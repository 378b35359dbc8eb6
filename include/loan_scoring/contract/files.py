"""Read contract files. An invalid contract raises a ContractError with a one-line message."""

from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from loan_scoring import settings
from loan_scoring.contract.contract import Contract
from loan_scoring.errors import ContractError


def load(portfolio: str) -> Contract:
    """Read and validate the contract of the portfolio with this name.

    Raises:
        ContractError: there is no such file, or the contract is not valid. The message names the
            file, the field and the reason.
    """
    path = settings.portfolios_dir() / f"{portfolio}.yaml"
    if not path.is_file():
        known = ", ".join(names()) or "none"
        raise ContractError(f"no contract {path}; portfolios in this folder: {known}")
    return read(path)


def names() -> list[str]:
    """Return the names of all portfolios that have a contract file, in alphabetical order."""
    return sorted(path.stem for path in settings.portfolios_dir().glob("*.yaml"))


def load_all() -> tuple[list[Contract], dict[str, str]]:
    """Return the valid contracts, and the error of each broken one by the stem of its file.

    A broken contract stops nothing but the portfolio that it describes. So work on all portfolios
    goes on with the valid contracts, and reports the broken ones.
    """
    valid, broken = [], {}
    for name in names():
        try:
            valid.append(load(name))
        except ContractError as error:
            broken[name] = str(error)
    return valid, broken


def read(path: Path) -> Contract:
    """Read and validate the contract in a YAML file.

    Raises:
        ContractError: the file is not YAML, or the contract is not valid. The message names the
            file, the field and the reason.
    """
    try:
        raw = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ContractError(f"{path}: {error.strerror}; make the file readable") from error
    # PyYAML raises a ValueError for a date that is none, such as 2026-02-30, and Python for bytes
    # that are no UTF-8.
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split()).replace('in "<unicode string>", ', "at ")
        raise ContractError(f"{path}: this is not valid YAML: {reason}") from error
    if not isinstance(raw, dict):
        raise ContractError(
            f"{path}: a contract must be a mapping of fields, found {type(raw).__name__}"
        )
    try:
        contract = Contract.model_validate(raw)
    except ValidationError as error:
        raise ContractError(f"{path}: {_one_line(error, raw)}") from error
    if contract.portfolio != path.stem:
        raise ContractError(
            f"{path}: portfolio: '{contract.portfolio}' must be the name of the file, '{path.stem}'"
        )
    return contract


def parse_yaml(text: str) -> Any:
    """Return the content of a YAML text.

    Raises:
        yaml.YAMLError: the text is not YAML, or has an alias within what another alias repeats.
            With ten such levels, a text of 1 KB stands for more than a million values.
    """
    # CSafeLoader takes 6 ms and the pure Python SafeLoader takes 60 ms. This matters because every
    # task reads all contracts when the task loads its DAG file.
    if "*" in text and "&" in text:
        open_parts: list[bool] = []
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.CollectionStartEvent):
                open_parts.append(event.anchor is not None)
            elif isinstance(event, yaml.CollectionEndEvent):
                open_parts.pop()
            elif isinstance(event, yaml.AliasEvent) and any(open_parts):
                raise yaml.MarkedYAMLError(
                    problem=f"the alias *{event.anchor} is within a part that has an anchor too; "
                    "write the part out",
                    problem_mark=event.start_mark,  # type: ignore[arg-type]
                )
    return yaml.load(text, Loader=yaml.CSafeLoader)


def _one_line(error: ValidationError, raw: dict[str, Any]) -> str:
    """Return one validation error as `field: reason`, and the number of further errors.

    If the contract has an unknown field, that error is returned, and otherwise the first error. An
    item of a list appears in `field` with its `name`. If the item has no `name`, the
    item appears with its `source`, and without a `source` with its index.

    Args:
        error: all validation errors of a contract.
        raw: the contract as read from YAML.
    """
    errors = error.errors(include_url=False)
    # A misspelt required field gives two errors: an unknown field and a missing field. Show the
    # unknown field, because it contains the misspelling.
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    place, reason = field_and_reason(first, raw)
    others = len({tuple(_place(each, raw)) for each in errors}) - 1
    more = f" (and {others} more; `loan-scoring contract check` shows all)" if others else ""
    return f"{place}{': ' if place else ''}{reason}{more}"


def field_and_reason(error: Any, raw: dict[str, Any]) -> tuple[str, str]:
    """Return the field that a validation error names, with dots between its parts, and the reason.

    Args:
        error: one of the errors that pydantic lists.
        raw: the contract as read from YAML.
    """
    reason = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        reason = "there is no such field; check the spelling"
        if error["input"] is None:
            reason += ", and put a text that has a comma in quotes"
    elif error["type"] not in ("value_error", "missing"):
        reason += f", found {error['input']!r}"
        if error["type"] == "string_type" and isinstance(error["input"], bool | int | float | date):
            reason += "; YAML does not read it as text: put it in quotes"
    return ".".join(_place(error, raw)), reason


def _place(error: Any, raw: dict[str, Any]) -> list[str]:
    """Return the steps from the contract to the field of an error.

    Pydantic adds a step for each type that a field may have. Such steps are not in the file, and
    are left out.
    """
    place: list[str] = []
    inside: Any = raw
    for step in error["loc"]:
        if not _has(inside, step):
            if error["type"] == "missing":
                place.append(str(step))
            continue
        inside = inside[step]
        named = inside.get("name") or inside.get("source") if isinstance(inside, dict) else None
        place.append(str(named) if isinstance(step, int) and named else str(step))
    return place


def _has(inside: Any, step: int | str) -> bool:
    if isinstance(inside, dict):
        return step in inside
    return isinstance(inside, list) and isinstance(step, int) and step < len(inside)
