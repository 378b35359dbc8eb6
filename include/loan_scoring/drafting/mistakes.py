"""Find all mistakes of a contract at once, each with its line and its field.

A contract loads only if nothing is wrong, and some of its rules are checked only when each field by
itself is right. So what is wrong is taken out of a copy, and the copy is checked again, until
nothing new is found.
"""

import copy
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from loan_scoring.contract import KEY, Contract
from loan_scoring.contract.files import field_and_reason, parse_yaml
from loan_scoring.drafting.places import Step, line_of, repeated_keys
from loan_scoring.drafting.writing import TODO

MOST_ROUNDS = 200
PREFIX = re.compile(r"^(?P<path>[a-z_]+(?:\.[\w-]+)*): (?P<reason>.*)$", re.DOTALL)
REQUIRED: dict[str, Any] = {
    "portfolio": "x",
    "title": "x",
    "owner": "x",
    "target": {"source": "\0", "positive": ["1"], "negative": ["0"]},
    "decision": {"approve_below": 0.1, "decline_from": 0.2},
}
"""Valid values of the parts that a contract must have, to stand in for wrong ones."""
COLUMNS = [
    {"source": f"\0{name}", "name": name, "label": "x", "type": "integer", "known": "application"}
    for name in (KEY, "a_column_that_stands_in")
]
QUOTED = re.compile(r"'([^']*)'")


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake of a contract."""

    line: int
    field: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """A contract file, as far as it can be read. `contract` is None if there are mistakes."""

    path: Path
    contract: Contract | None
    mistakes: list[Mistake]
    todos: list[int]
    """The lines that still ask a person something."""


def read_all(path: Path) -> Reading:
    """Read a contract file, and return all its mistakes in the order of their lines."""
    text = path.read_text(encoding="utf-8", errors="replace")
    todos = [number for number, line in enumerate(text.splitlines(), 1) if f"# {TODO} " in line]
    try:
        raw = parse_yaml(text)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        reason = f"this is not valid YAML: {getattr(error, 'problem', None) or error}"
        return Reading(path, None, [Mistake(line, "", " ".join(reason.split()))], todos)
    if not isinstance(raw, dict):
        found = type(raw).__name__
        reason = f"a contract must be a mapping of fields, found {found}"
        return Reading(path, None, [Mistake(1, "", reason)], todos)
    mistakes = {
        Mistake(
            line_of(root, where),
            ".".join(map(str, where)),
            "is declared twice; YAML takes the last",
        )
        for where in repeated_keys(root)
    }
    contract, found_mistakes = _validate(raw, root)
    mistakes |= found_mistakes
    if contract is not None and contract.portfolio != path.stem:
        reason = f"'{contract.portfolio}' must be the name of the file, '{path.stem}'"
        mistakes.add(Mistake(line_of(root, ["portfolio"]), "portfolio", reason))
    return Reading(path, None if mistakes else contract, sorted(mistakes), todos)


def _validate(raw: dict[str, Any], root: yaml.Node | None) -> tuple[Contract | None, set[Mistake]]:
    """Return the contract if nothing is wrong, and all mistakes."""
    rest = copy.deepcopy(raw)
    originals = _Originals(rest)
    mistakes: set[Mistake] = set()
    for _ in range(MOST_ROUNDS):
        try:
            contract = Contract.model_validate(rest)
            return (None if mistakes else contract), mistakes
        except ValidationError as error:
            errors = error.errors(include_url=False)
        taken: list[tuple[Step, ...]] = []
        for each in errors:
            place, reason = field_and_reason(each, rest)
            path = _path_of(each, rest)
            if not place and (split := PREFIX.match(reason)):
                place, reason = split["path"], split["reason"]
            if not originals.explain(path, each):
                line = line_of(root, originals.before(path))
                mistakes.add(Mistake(line, place, reason))
            taken.append(path)
        # Later items of a list first, so that the places of earlier ones stay right.
        took = [originals.take(path) for path in sorted(taken, key=repr, reverse=True)]
        if not originals.fill() and not any(took):
            break
    return None, mistakes


def _path_of(error: Any, raw: dict[str, Any]) -> tuple[Step, ...]:
    """Return the path of what an error is about: of a field, or of what its message names."""
    path = tuple(step for step in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if not path and (split := PREFIX.match(message)):
        path = _named_path(raw, split["path"].split("."))
        message = split["reason"]
    inside = _inside(raw, path)
    if isinstance(inside, list) and (quoted := QUOTED.search(message)):
        places = [
            place
            for place, item in enumerate(inside)
            if item == quoted[1]
            or (
                isinstance(item, dict)
                and quoted[1] in (item.get("name"), item.get("source"), item.get("column"))
            )
        ]
        return (*path, places[-1]) if places else path
    if isinstance(inside, dict) and error["type"] == "value_error":
        word = re.match(r"[a-z_]+", message)
        if word and word[0] in inside:
            return (*path, word[0])
    return path


def _named_path(raw: Any, steps: list[str]) -> tuple[Step, ...]:
    """Return a path in which items of lists are numbers; a message may name them by `name`."""
    path: list[Step] = []
    for step in steps:
        if isinstance(raw, list):
            names = [item.get("name") if isinstance(item, dict) else item for item in raw]
            place = names.index(step) if step in names else int(step) if step.isdecimal() else -1
            if not 0 <= place < len(raw):
                break
            path.append(place)
            raw = raw[place]
        elif isinstance(raw, dict) and step in raw:
            path.append(step)
            raw = raw[step]
        else:
            break
    return tuple(path)


def _inside(raw: Any, path: tuple[Step, ...]) -> Any:
    for step in path:
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


class _Originals:
    """A contract from which wrong parts are taken, and where each part stood before."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw
        self._taken: dict[int, set[Step]] = {}
        self._places: dict[int, list[int]] = {}
        self._gone: set[str] = set()

    def before(self, path: tuple[Step, ...]) -> list[Step]:
        """Return the path that a part had before anything was taken."""
        found: list[Step] = []
        inside: Any = self._raw
        for step in path:
            if isinstance(inside, list) and isinstance(step, int):
                found.append(self._numbers(inside)[step] if step < len(inside) else step)
            else:
                found.append(step)
            try:
                inside = inside[step]
            except (KeyError, IndexError, TypeError):
                inside = None
        return found

    def explain(self, path: tuple[Step, ...], error: Any) -> bool:
        """Return whether an error is there only because something was taken."""
        message = error["msg"]
        gone = QUOTED.search(message)
        if "no column is named" in message and gone is not None and gone[1] in self._gone:
            return True
        for place in (path, path[:-1]):
            taken = self._taken.get(id(_inside(self._raw, place)), set())
            if error["type"] == "too_short" and taken:
                return True
            if error["type"] == "missing" and path[-1:] and path[-1] in taken:
                return True
            names = (re.escape(step) for step in taken if isinstance(step, str))
            if any(re.search(rf"(?<!\w){name}(?!\w)", message) for name in names):
                return True
        return False

    def take(self, path: tuple[Step, ...]) -> bool:
        """Take a part out; if it is not there, take the part around it. Return whether one was."""
        while path:
            parent, step = _inside(self._raw, path[:-1]), path[-1]
            if isinstance(parent, dict) and step in parent:
                del parent[step]
                self._taken.setdefault(id(parent), set()).add(step)
                return True
            if isinstance(parent, list) and isinstance(step, int) and step < len(parent):
                del self._numbers(parent)[step]
                item = parent.pop(step)
                self._taken.setdefault(id(parent), set()).add(step)
                if isinstance(item, dict):
                    self._gone.add(str(item.get("name")))
                return True
            path = path[:-1]
        return False

    def fill(self) -> bool:
        """Put something valid where a required part is missing. Return whether one was."""
        missing = [name for name in REQUIRED if name not in self._raw]
        self._raw.update((name, copy.deepcopy(REQUIRED[name])) for name in missing)
        columns = self._raw.get("columns")
        if not isinstance(columns, list):
            return bool(missing)
        names = {column.get("name") for column in columns if isinstance(column, dict)}
        added = [each for each in COLUMNS if each["name"] not in names]
        added = added if KEY not in names or len(columns) < len(COLUMNS) else []
        self._numbers(columns).extend(range(len(columns), len(columns) + len(added)))
        columns.extend(added)
        return bool(missing or added)

    def _numbers(self, items: list[Any]) -> list[int]:
        return self._places.setdefault(id(items), list(range(len(items))))
