"""Write a drafted contract as YAML with remarks, and never over a file that is there."""

from typing import Any

import yaml

from loan_scoring.drafting.draft import FEW_LOANS, ContractDraft
from loan_scoring.drafting.keys import Entry
from loan_scoring.ingest.files.columns import nameless_column

SCHEMA_FILE = "contract.schema.json"
FIRST_LINE = f"# yaml-language-server: $schema=./{SCHEMA_FILE}"
WIDTH = 118
MOST_UNBROKEN = 60
TODO = "TODO"


def write_yaml(draft: ContractDraft) -> str:
    """Return the text of the draft."""
    lines = [FIRST_LINE, *_head(draft), "", *_source(draft), "", *_target(draft), ""]
    lines += ["columns:", *_entry(draft.key)]
    if draft.outcomes is not None:
        lines += _comment(
            "AUC: how well the column alone tells defaults from paid loans; 0.5 is nothing, above "
            "0.8 is hardly ever honest. null AUC: the same of whether it is null.", "  ",
        )  # fmt: skip
    lines += _comment(
        f"{TODO} for each column: is its value known at the application, when the loan is priced "
        "(pricing), or later (outcome)? Only the first kind may be a feature.", "  ",
    )  # fmt: skip
    for entry in draft.columns:
        lines += _entry(entry)
    if draft.empty:
        names = ", ".join(map(str, draft.empty))
        lines += _comment(f"Without any value in this file, so left out: {names}", "  ")
    return "\n".join([*lines, "", *_tail(draft)]) + "\n"


def _head(draft: ContractDraft) -> list[str]:
    file = draft.file
    title = draft.portfolio.replace("_", " ").capitalize()
    return [
        *_comment(
            f"Drafted from {file.where.rsplit('/', 1)[-1]}: {file.rows:,} rows, "
            f"{len(file.columns) + len(file.unnamed)} columns. Answer each {TODO}, delete it, then "
            f"run `loan-scoring contract check {draft.portfolio} --source FILE`."
        ),
        *(line for note in file.notes for line in _comment(f"Note: {note}")),
        f"portfolio: {draft.portfolio}",
        f"title: {_flow(title)}",
        "owner: credit-risk  # TODO who answers for this portfolio?",
    ]


def _source(draft: ContractDraft) -> list[str]:
    file, lines = draft.file, ["source:"]
    if file.encoding != "utf-8":
        lines += _comment(
            f"{TODO} the file is not UTF-8; do letters beyond a to z look right?", "  "
        )
    lines.append(f"  encoding: {file.encoding}")
    lines.append(f"  delimiter: {_flow(file.delimiter)}")
    lines.append(f"  header: {str(file.has_header).lower()}")
    key = draft.key.fields.get("source")
    unnamed = [str(place) for place in file.unnamed if nameless_column(place) != key]
    if unnamed and file.has_header:
        places = ", ".join(unnamed)
        lines += _comment(
            f"Without a name of its own in the header, so left out: column {places}", "  "
        )
    return lines


def _target(draft: ContractDraft) -> list[str]:
    target = draft.target
    if not target.is_found:
        return [
            *_comment(
                f"{TODO} no column looks like an outcome. Which column of the history and of the "
                "files of outcomes says whether a loan defaulted, and by which texts?"
            ),
            f"target: {{source: {_flow(target.source)}, positive: ['1'], negative: ['0']}}",
        ]
    counts = ", ".join(f"{_flow(text)} {count:,}" for text, count in target.states)
    lines = ["target:", f"  source: {_flow(target.source)}"]
    lines += _comment(
        f"{TODO} which states mean default (positive), which paid (negative), which say nothing "
        f"yet (open)? The figures below go by this reading. In this file: {counts}", "  ",
    )  # fmt: skip
    lines += _wrapped("  positive: ", _items(target.positive), "[", "]", 4)
    lines += _wrapped("  negative: ", _items(target.negative), "[", "]", 4)
    if target.open:
        lines += _wrapped("  open: ", _items(target.open), "[", "]", 4)
    return lines


def _entry(entry: Entry) -> list[str]:
    lines = [line for todo in entry.todos for line in _comment(f"{TODO} {todo}", "  ")]
    if entry.facts:
        lines += _comment("; ".join(entry.facts), "  ")
    items: list[str] = []
    for key, value in entry.fields.items():
        shown = _items(value) if isinstance(value, list) else [_flow(value)]
        if isinstance(value, list) and sum(map(len, shown)) > MOST_UNBROKEN:
            shown = [f"[{shown[0]}", *shown[1:]]
            shown[-1] += "]"
        elif isinstance(value, list):
            shown = [_flow(value)]
        items += [f"{key}: {shown[0]}", *shown[1:]]
    return [*lines, *_wrapped("  - ", items, "{", "}", 5)]


def _tail(draft: ContractDraft) -> list[str]:
    lines = []
    if draft.protected:
        lines += [
            *_comment(
                f"{TODO} which columns may by law be no feature? Fairness is measured by them."
            ),
            *_wrapped("protected: ", _items(draft.protected), "[", "]", 2),
        ]
    else:
        lines += _comment(f"{TODO} no column looks protected, such as sex or age. Is there one?")
    if draft.places:
        lines += _comment(
            f"{TODO} may places stand for the origin of people: protected, or stored_only? "
            f"{', '.join(draft.places)}"
        )
    known = int((draft.outcomes >= 0).sum()) if draft.outcomes is not None else 0
    rate = (
        float((draft.outcomes == 1).sum()) / known if known and draft.outcomes is not None else 0.1
    )
    low, high = (round(min(max(each, 0.01), 0.98), 2) for each in (rate, 2 * rate))
    if known:
        lines += _comment(
            f"{TODO} of {known:,} loans with an outcome {rate:.1%} default: which probability is "
            "low enough to approve, which too high?"
        )
    lines.append(f"decision: {{approve_below: {low:g}, decline_from: {max(high, low):g}}}")
    if known and known < FEW_LOANS:
        least = max(100, known * 8 // 1000 * 100)
        lines += _comment(
            f"{TODO} {known:,} loans have an outcome, fewer than the usual {FEW_LOANS:,}: figures "
            "of such models are rough."
        )
        lines.append(f"training: {{min_loans: {least}}}")
    if draft.amount:
        lines += _comment("For expected and realised losses:")
        lines.append(f"# business: {{amount: {draft.amount}, loss_given_default: 0.45}}")
    return lines


def _comment(text: str, indent: str = "") -> list[str]:
    lines, line = [], ""
    for word in " ".join(text.split()).split(" "):
        if line and len(indent) + len(line) + len(word) + 3 > WIDTH:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return [f"{indent}# {each}" for each in [*lines, line]]


def _wrapped(start: str, items: list[str], opening: str, closing: str, indent: int) -> list[str]:
    lines, line = [], start + opening
    for place, item in enumerate(items):
        piece = item + ("," if place + 1 < len(items) else closing)
        if len(line) + len(piece) + 1 > WIDTH and line.strip() != "- {":
            lines.append(line.rstrip())
            line = " " * indent
        line += piece + " "
    return [*lines, line.rstrip()]


def _items(values: list[Any]) -> list[str]:
    return [_flow(value) for value in values]


def _flow(value: Any) -> str:
    """Return a value as YAML on one line, with quotes where YAML would read something else."""
    shown = yaml.safe_dump(
        [value], default_flow_style=True, width=1 << 30, allow_unicode=True, sort_keys=False
    )
    return shown.strip()[1:-1]
