"""Check a contract, and a file by it, and report all that was found."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from loan_scoring.drafting.dry_run import DryRun, dry_run
from loan_scoring.drafting.mistakes import Reading, read_all
from loan_scoring.drafting.warnings import warnings_of


def check_contract(path: Path, location: str | None) -> dict[str, Any]:
    """Return the result of the command `contract check`: facts, `text`, and `exit` if wrong.

    Args:
        path: file of the contract.
        location: file or URL to read by the contract, in memory only. None reads no file.

    Raises:
        SourceError: the file cannot be read, or lacks a column of the contract.
    """
    reading = read_all(path)
    result: dict[str, Any] = {
        "mistakes": [asdict(each) for each in reading.mistakes],
        "todos": reading.todos,
    }
    lines = [
        f"{path}:{each.line}: {each.field}{': ' if each.field else ''}{each.reason}"
        for each in reading.mistakes
    ]
    if reading.contract is None:
        count = len(reading.mistakes)
        lines.append(f"{count} mistake{'s' * (count != 1)}; no file is read before they are mended")
        return {**result, "text": "\n".join(lines), "exit": 1}
    lines.append(f"{path}: no mistakes")
    lines += _todos(reading)
    if location is None:
        lines.append("give --source FILE to read a file by this contract, in memory only")
        return {**result, "text": "\n".join(lines)}
    found = dry_run(reading.contract, location)
    warnings = warnings_of(reading.contract, found)
    result |= {
        "received": found.received,
        "accepted": found.accepted,
        "refused": {rule: asdict(each) for rule, each in found.refused.items()},
        "ignored_columns": found.ignored,
        "states": found.states,
        "warnings": warnings,
    }
    lines += [*_rows(location, found), *(f"warning: {each}" for each in warnings)]
    return {**result, "text": "\n".join(lines)}


def _todos(reading: Reading) -> list[str]:
    if not reading.todos:
        return []
    places = ", ".join(map(str, reading.todos[:8])) + " ..." * (len(reading.todos) > 8)
    return [f"warning: {len(reading.todos)} places marked TODO still ask something: lines {places}"]


def _rows(location: str, found: DryRun) -> list[str]:
    refused = found.received - found.accepted
    lines = [
        f"{location}: {found.received:,} rows, {found.accepted:,} accepted, {refused:,} refused"
    ]
    for rule, each in found.refused.items():
        lines.append(f"  {rule:<40} {each.rows:>9,}  such as {', '.join(each.examples)}")
    return lines
