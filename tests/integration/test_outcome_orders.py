"""For any order of files, corrections, withdrawals and undos, a plain model says what counts."""

import itertools
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loan_scoring import database
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import MissingError, StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcome_withdrawal import withdraw_outcomes
from loan_scoring.ingest.outcomes import Declaration, take_outcomes
from loan_scoring.lab.replay import Replay

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
DAYS = ("2026-02-01", "2026-03-01", "2026-04-01")
Row = tuple[int, bool, str | None]
"""A loan's place, whether it defaulted, and the date."""


@dataclass
class Revision:
    """A revision of a file, as the model keeps it."""

    rows: list[Row]
    accepted: list[Row]
    is_correction: bool
    number: int
    is_withdrawn: bool = False


@dataclass
class Model:
    """What the documents say of outcomes, in plain Python."""

    files: dict[str, list[Revision]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def land(self, name: str, rows: list[Row]) -> bool:
        """Return whether the file is taken."""
        revisions = self.files.setdefault(name, [])
        if any(each.rows == rows and each.is_withdrawn for each in revisions):
            return False
        if revisions and revisions[-1].rows == rows:
            return True
        is_correction = name.endswith(".correction")
        accepted = []
        others = self._counting(but=name)
        for place, (loan, value, day) in enumerate(rows):
            same_day = [row for row in rows if row[0] == loan and row[2] == day]
            is_repeated = any(row[0] == loan and row[2] == day for row in rows[:place])
            is_doubtful = len({row[1] for row in same_day}) > 1
            contradicts = any((loan, not value, day) == each for each in others)
            if not (is_repeated or is_doubtful or (contradicts and not is_correction)):
                accepted.append((loan, value, day))
        if revisions and revisions[-1].accepted and not accepted:
            return False
        revisions.append(Revision(rows, accepted, is_correction, next(self.numbers)))
        return True

    def _counting(self, but: str | None = None) -> list[Row]:
        """Return the statements that count and that no correction overrules."""
        live = [
            revisions[-1]
            for name, revisions in self.files.items()
            if name != but and revisions and not revisions[-1].is_withdrawn
        ]
        found: list[Row] = []
        for revision in sorted(live, key=lambda each: each.number):
            if revision.is_correction:
                corrected = {loan for loan, _, _ in revision.accepted}
                found = [row for row in found if row[0] not in corrected]
            found += revision.accepted
        return found

    def outcomes(self) -> dict[int, tuple[bool, str | None]]:
        newest: dict[int, tuple[bool, str | None]] = {}
        for loan, value, day in self._counting():
            if loan not in newest or (day or "") >= (newest[loan][1] or ""):
                newest[loan] = (value, day)
        return newest


class Place:
    """A session and the keys of a published night."""

    def __init__(self, session: Session, loans: list[int]) -> None:
        self.session, self.loans = session, loans


@pytest.fixture(scope="module")
def place(new_database: Any, drops: Replay) -> Iterator[Place]:
    with open_session("loan_default", new_database()) as session:
        ingest_batch(session, NIGHT, drops.application_files[NIGHT])
        lines = drops.application_files[NIGHT].read_text().splitlines()[1:4]
        yield Place(session, [int(line.split(",")[0]) for line in lines])


ROWS = st.one_of(
    st.lists(
        st.tuples(st.integers(0, 2), st.booleans(), st.sampled_from(DAYS)), min_size=1, max_size=4
    ),
    st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.none()), min_size=1, max_size=2),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("land"), st.sampled_from(["a", "b", "c", "d.correction"]), ROWS),
        st.tuples(
            st.sampled_from(["withdraw", "undo"]),
            st.sampled_from(["a", "b", "c", "d.correction"]),
            st.just([]),
        ),
    ),
    max_size=10,
)


def clean(session: Session) -> None:
    tables = ["outcome_revisions", "outcome_changes", "outcome_changes_by_batch"]
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"alter table {table} disable trigger user")
        cursor.execute(
            f"truncate {', '.join(tables)}, outcomes, outcome_drops, outcome_repeats, performance,"
            " outcome_coverage, outcome_sums,"
            " quarantine"
        )
        for table in tables:
            cursor.execute(f"alter table {table} enable trigger user")


def write(folder: Path, name: str, rows: list[Row], loans: list[int]) -> Path:
    path = folder / f"{name}.csv"
    is_dated = rows[0][2] is not None
    lines = ["ID,Status,observed_on" if is_dated else "ID,Status"]
    lines += [
        f"{loans[loan]},{int(value)}" + (f",{day}" if is_dated else "") for loan, value, day in rows
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def shown(place: Place, source: str) -> dict[int, tuple[bool, str | None]]:
    query = f"select loan_id, is_default, observed_on::text from {source}"
    rows = database.select_read_only(place.session.connection, query)[1]
    return {place.loans.index(loan): (value, day) for loan, value, day in rows}


def do(place: Place, model: Model, folder: Path, step: tuple[str, str, list[Row]]) -> None:
    """Do a step in the database and in the model; both take it or both refuse it."""
    what, name, rows = step
    if what == "land":
        is_taken = model.land(name, rows)
        path = write(folder, name, rows, place.loans)
        if is_taken:
            take_outcomes(place.session, path, Declaration("cli:tests"))
        else:
            with pytest.raises(StateError):
                take_outcomes(place.session, path, Declaration("cli:tests"))
        return
    if model.files.get(name):
        model.files[name][-1].is_withdrawn = what == "withdraw"
    with suppress(MissingError):
        withdraw_outcomes(place.session, name, "why", "cli:tests", undo=what == "undo")


@given(steps=STEPS)
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_outcomes_are_what_the_model_says(place: Place, tmp_path: Path, steps: list[Any]) -> None:
    clean(place.session)
    model = Model()
    moments: list[tuple[datetime, dict[int, tuple[bool, str | None]]]] = []
    for step in steps:
        do(place, model, tmp_path, step)
        assert shown(place, "outcomes") == model.outcomes()
        now = database.select_read_only(place.session.connection, "select clock_timestamp()")
        moments.append((now[1][0][0], model.outcomes()))
    for moment, outcomes in moments:
        assert shown(place, f"outcomes_as_of('{moment.isoformat()}')") == outcomes
    current = "outcome_history where state = 'current'"
    assert shown(place, current) == model.outcomes()
