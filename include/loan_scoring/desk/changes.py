"""Change inputs of an application, and find the smallest change with which the policy approves."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from loan_scoring import database
from loan_scoring.contract import KEY, Column, Contract
from loan_scoring.database.session import Session
from loan_scoring.desk.loan_ids import typed_loan_id
from loan_scoring.errors import InputError, MissingError, StateError
from loan_scoring.features.lookups import KnownBy
from loan_scoring.models.registry import model_row
from loan_scoring.scoring.request import score_applications

STEPS = 24
"""Number of values on each side of an input that are tried first."""
HALVINGS = 6
"""How often the gap between the last value refused and the first one approved is halved."""


@dataclass(frozen=True)
class SmallestChange:
    """A change of one input with which the policy approves, and how large it is.

    `size` is the change as a share of the range in which values are tried. It is 1 if another
    level is needed.
    """

    name: str
    before: Any
    after: Any
    default_probability: float
    size: float


def as_received(contract: Contract, score: database.Row) -> dict[str, Any]:
    """Return the application without stored features, which scoring computes itself."""
    names = {column.name for column in contract.columns}
    return {name: value for name, value in score["application"].items() if name in names}


def known_by(score: database.Row) -> KnownBy:
    """Return what was known of look-ups when the score was made."""
    return KnownBy(date.fromisoformat(score["batch_id"]), score["lookup_delivery_id"])


def with_changes(
    contract: Contract, application: dict[str, Any], changes: dict[str, Any]
) -> dict[str, Any]:
    """Return an application with changed inputs. A ratio is calculated again.

    A ratio keeps the value that `changes` has for it.
    """
    changed = {**application, **changes}
    for ratio in contract.ratios:
        if ratio.column not in changes and {ratio.numerator, ratio.denominator} & changes.keys():
            changed[ratio.column] = _ratio(
                ratio.scale, changed[ratio.numerator], changed[ratio.denominator]
            )
    return changed


def _ratio(scale: float, numerator: Any, denominator: Any) -> float | None:
    try:
        return scale * float(numerator) / float(denominator)
    except (TypeError, ValueError, ZeroDivisionError):
        return None  # no error here, because validation then names the invalid operand


def find_smallest_changes(
    session: Session, loan_id: Any, names: Iterable[str]
) -> list[SmallestChange]:
    """Return, for each input where one exists, the smallest change of it alone that approves.

    Numbers are tried in steps between the outermost inner edges of the training loans' bins, which
    are the 10th and the 90th percentile with 10 bins, and then the gap is halved. So a change may
    exist that is not found, if the probability falls and rises again within a step. Categories are
    tried with each known level. The model is the one that made the score. Nothing is stored.

    Args:
        session: database session that reads.
        loan_id: the loan. It must have a current score with a probability.
        names: inputs that may change.

    Raises:
        MissingError: the loan has no current score.
        StateError: no model scored the application, or the policy already approves it.
        BusyError: another request is being scored in this process.
    """
    contract = session.contract
    key = typed_loan_id(contract, loan_id)
    with database.transaction(session.connection):
        found = database.row(session.connection, "select_application", loan_id=key)
    if found is None:
        raise MissingError(f"loan {key} of {contract.portfolio} has no current score")
    if found["default_probability"] is None:
        raise StateError("no model scores this application, so no change of it can be found")
    if found["decision"] == "approve":
        raise StateError("the policy approves this application as it is")
    with database.transaction(session.connection):
        row = model_row(session, found["propensity_version"])
    search = _Search(session, found, row["baseline"])
    columns = [contract.by_name[name] for name in names]
    return sorted(search.smallest(columns), key=lambda each: each.size)


class _Search:
    """Values of single inputs that are tried, and the probabilities with them."""

    def __init__(self, session: Session, score: database.Row, baseline: dict[str, Any]) -> None:
        self.session = session
        self.score = score
        self.baseline = baseline
        self.received = as_received(session.contract, score)
        self.limit = session.contract.under(score["policy"]).decision.approve_below

    def smallest(self, columns: Sequence[Column]) -> list[SmallestChange]:
        """Return the smallest change of each column that has one."""
        tried = [(column, value) for column in columns for value in self._values(column)]
        chances = self.probabilities(tried)
        by_name: dict[str, list[tuple[Any, float]]] = {}
        for (column, value), chance in zip(tried, chances, strict=True):
            if chance is not None:
                by_name.setdefault(column.name, []).append((value, chance))
        gaps: list[tuple[Column, float, float, float]] = []
        best: list[SmallestChange] = []
        for column in columns:
            approved = [
                (value, chance)
                for value, chance in by_name.get(column.name, [])
                if chance < self.limit
            ]
            if not column.is_numeric:
                if approved:
                    best.append(self._change(column, *min(approved, key=lambda each: each[1])))
                continue
            before = self.received[column.name]
            for side in (-1, 1):
                beyond = [each for each in approved if side * (each[0] - before) > 0]
                if beyond:
                    value, chance = min(beyond, key=lambda each: abs(each[0] - before))
                    step = (self._range(column)[1] - self._range(column)[0]) / STEPS
                    inner = value - side * min(step, abs(value - before))
                    gaps.append((column, inner, value, chance))
        return best + self._halved(gaps)

    def _halved(self, gaps: list[tuple[Column, float, float, float]]) -> list[SmallestChange]:
        """Narrow the gaps between a value that is refused and one that is approved."""
        for _ in range(HALVINGS):
            middles = [(column, _between(column, a, b)) for column, a, b, _ in gaps]
            for place, chance in enumerate(self.probabilities(middles)):
                column, refused, approved, known = gaps[place]
                middle = middles[place][1]
                if chance is not None and chance < self.limit:
                    gaps[place] = (column, refused, middle, chance)
                else:
                    gaps[place] = (column, middle, approved, known)
        found = [self._change(column, value, chance) for column, _, value, chance in gaps]
        smallest = {}
        for each in sorted(found, key=lambda each: -each.size):
            smallest[each.name] = each
        return [*smallest.values()]

    def probabilities(self, tried: Sequence[tuple[Column, Any]]) -> list[float | None]:
        """Return the default probability with each value. None if the value is refused."""
        contract = self.session.contract
        # Keys differ, because a request may not have the same key twice.
        kind = contract.by_name[KEY].type
        applications = [
            with_changes(contract, self.received, {column.name: value, KEY: _key(kind, place)})
            for place, (column, value) in enumerate(tried, 1)
        ]
        try:
            return self._scored(applications)
        except InputError:
            return [self._one(each) for each in applications]

    def _one(self, application: dict[str, Any]) -> float | None:
        try:
            return self._scored([application])[0]
        except InputError:
            return None  # a rule of the contract refuses the value

    def _scored(self, applications: list[dict[str, Any]]) -> list[float | None]:
        if not applications:
            return []
        scored = score_applications(
            self.session, applications, self.score["propensity_version"], known_by(self.score)
        )
        return [each["default_probability"] for each in scored.scores]

    def _values(self, column: Column) -> list[Any]:
        before = self.received.get(column.name)
        if not column.is_numeric:
            levels = [True, False] if column.type == "boolean" else column.listed_levels
            return [level for level in levels if level != before]
        if before is None:
            return []
        low, high = self._range(column)
        step = (high - low) / STEPS
        values = {_rounded(column, low + place * step) for place in range(STEPS + 1)}
        return sorted(values - {before})

    def _range(self, column: Column) -> tuple[float, float]:
        """Return the limits between which values are tried. The present value lies between them."""
        edges = [
            float(each)
            for each in (self.baseline.get(column.name) or {}).get("edges", [])
            if each is not None and math.isfinite(float(each))
        ]
        before = float(self.received[column.name])
        return min([*edges, before]), max([*edges, before])

    def _change(self, column: Column, value: Any, chance: float) -> SmallestChange:
        before = self.received.get(column.name)
        size = 1.0
        if column.is_numeric and before is not None:
            low, high = self._range(column)
            size = abs(value - before) / ((high - low) or 1.0)
        return SmallestChange(column.name, before, value, chance, size)


def _key(kind: str, number: int) -> Any:
    return {"integer": number, "uuid": str(UUID(int=number))}.get(kind, str(number))


def _rounded(column: Column, value: float) -> float | int:
    return round(value) if column.type == "integer" else float(f"{value:.6g}")


def _between(column: Column, refused: float, approved: float) -> float | int:
    """Return the value in the middle, rounded towards the approved one if only whole ones exist."""
    middle = (refused + approved) / 2
    if column.type == "integer":
        return math.ceil(middle) if approved > refused else math.floor(middle)
    return _rounded(column, middle)
