"""Check a contract, and a file by it, and report all that was found."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from loan_scoring.contract import Contract
from loan_scoring.counted import counted
from loan_scoring.drafting.dry_run import DryRun, Refused, dry_run
from loan_scoring.drafting.mistakes import Reading, read_all
from loan_scoring.drafting.warnings import contract_warnings, refusal_of, warnings_of
from loan_scoring.ingest.outcome_rows import read_states


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
        lines.append(f"{counted(count, 'mistake')}; no file is read before they are mended")
        return {**result, "text": "\n".join(lines), "exit": 1}
    lines.append(f"{path}: no mistakes")
    lines += _todos(reading)
    own = contract_warnings(reading.contract)
    result["warnings"] = own
    if location is None:
        lines += [f"warning: {each}" for each in own]
        lines.append("give --source FILE to read a file by this contract, in memory only")
        return {**result, "text": "\n".join(lines)}
    found = dry_run(reading.contract, location)
    warnings = own + warnings_of(reading.contract, found)
    refusal = refusal_of(reading.contract, found)
    result |= {
        "received": found.received,
        "accepted": found.accepted,
        "refused": {rule: asdict(each) for rule, each in found.refused.items()},
        "ignored_columns": found.ignored,
        "states": found.states,
        "outcomes": _outcomes(reading.contract, found),
        "outcomes_refused": {rule: asdict(each) for rule, each in found.outcomes_refused.items()},
        "warnings": warnings,
        "refusal": refusal,
    }
    lines += [
        *_rows(location, found),
        *_states(result["outcomes"], found),
        *[f"mistake: {refusal}"] * (refusal is not None),
        *(f"warning: {each}" for each in warnings),
    ]
    failed = {"exit": 1} if refusal else {}
    return {**result, "text": "\n".join(lines), **failed}


def _todos(reading: Reading) -> list[str]:
    if not reading.todos:
        return []
    places = ", ".join(map(str, reading.todos[:8])) + " ..." * (len(reading.todos) > 8)
    return [
        f"warning: marked TODO, {counted(len(reading.todos), 'place')} still to answer: "
        f"lines {places}"
    ]


def _outcomes(contract: Contract, found: DryRun) -> dict[str, int] | None:
    """Return how many rows of a labelled file are defaults, paid, open and of no declared state."""
    if found.states is None:
        return None
    texts = pa.chunked_array([pa.array(found.states)])
    is_default, is_open = read_states(contract.target, texts)
    counts = {"default": 0, "paid": 0, "open": 0, "unknown": 0}
    meanings = {True: "default", False: "paid", None: "unknown"}
    for default, still_open, rows in zip(
        is_default.to_pylist(), is_open, found.states.values(), strict=True
    ):
        counts["open" if still_open else meanings[default]] += rows
    return counts


def _states(outcomes: dict[str, int] | None, found: DryRun) -> list[str]:
    if outcomes is None:
        return []
    counts = [f"{rows:,} {what}" for what, rows in outcomes.items() if rows or what != "unknown"]
    return [f"outcomes: {', '.join(counts)}", *_refused(found.outcomes_refused)]


def _rows(location: str, found: DryRun) -> list[str]:
    refused = found.received - found.accepted
    return [
        f"{location}: {found.received:,} rows, {found.accepted:,} accepted, {refused:,} refused",
        *_refused(found.refused),
    ]


def _refused(refused: dict[str, Refused]) -> list[str]:
    return [
        f"  {rule:<40} {each.rows:>9,}  such as {', '.join(each.examples)}"
        for rule, each in refused.items()
    ]
