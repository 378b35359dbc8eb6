"""Scoring that is killed, crashed or doubled at any moment gives the rows of an undisturbed run.

LOAN_SCORING_KILLS sets the number of kills. Crashes of Postgres, doubled runs and runs with a
reader are a tenth as many. The default is small.
"""

import io
import itertools
import os
import random
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import pytest
import yaml
from children import Child, command, plan, publish, score, spawning

from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.database.programs import postgres_program
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.local import processes
from loan_scoring.local.postgres import EmbeddedPostgres
from loan_scoring.local.postgres_pidfile import read_postmaster
from loan_scoring.scoring.batch import score_batch
from loan_scoring.scoring.run_ids import derive_run_id

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
LOANS, SLICES = 1000, 4
KILLS = int(os.environ.get("LOAN_SCORING_KILLS", "4"))
FEW = max(1, KILLS // 10)
SCORE = ("score", "--batch", NIGHT, "--json")
TABLES = {
    "current_scores": "to_jsonb(t) - 'scored_at'",
    "scores": "to_jsonb(t) - 'scored_at'",
    "mini_batches": "to_jsonb(t) - 'scored_at' - 'seconds'",
    "scoring_runs": "to_jsonb(t) - 'planned_at' - 'published_at'",
}
STANDING = """
    select count(*), count(*) filter (where is_current),
        (select count(*) from mini_batches),
        (select count(*) from mini_batches where state = 'scored'),
        (select coalesce(sum(applications), 0) from mini_batches where state = 'scored'),
        (select count(*) from scores), (select count(*) from current_scores)
    from scoring_runs
"""
VISIBLE = "select count(*), md5(string_agg(s::text, ',' order by loan_id)) from current_scores as s"

Task = tuple[Any, ...]
"""A function of `children`, and its arguments after the URL."""

Way = list[list[Task]]
"""How a batch is scored: consecutive stages, each of concurrent tasks."""


class Instant(NamedTuple):
    """A moment of a run: so many seconds after one task of a stage began a step."""

    stage: int
    task: int
    step: int
    seconds: float


class Undisturbed(NamedTuple):
    """The tables after an undisturbed run, and its steps with their lengths."""

    tables: dict[str, str]
    steps: list[Instant]

    def instant(self, share: float) -> Instant:
        """Return the moment at a share of the run; all steps have equal weight."""
        place, part = divmod(share * len(self.steps), 1)
        step = self.steps[int(place)]
        return step._replace(seconds=part * step.seconds)


@pytest.fixture(scope="module", autouse=True)
def small_mini_batches(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Cut a night of 1,000 loans into four mini-batches, in child processes too."""
    folder = tmp_path_factory.mktemp("small") / "portfolios"
    shutil.copytree(settings.portfolios_dir(), folder)
    path = folder / "loan_default.yaml"
    raw = yaml.safe_load(path.read_text())
    raw["scoring"]["mini_batch_rows"] = LOANS // SLICES
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOAN_SCORING_PORTFOLIOS", str(folder))
        yield


@pytest.fixture(scope="module")
def night(new_database, trained, drops: Replay) -> str:
    """The URL of a database with an ingested night that is not scored; tests copy it."""
    url = str(new_database(template=trained.url))
    with open_session("loan_default", url) as session:
        ingest_batch(session, NIGHT, drops.application_files[NIGHT])
    return url


@pytest.fixture(scope="module")
def ways(trained, loan_default: Contract) -> dict[str, Way]:
    """Two ways to score: in one process; or in tasks as in the score DAG, two at a time."""
    run_id = derive_run_id(loan_default, NIGHT, 1, **trained.versions)
    workers = [(score, run_id, [0, 2]), (score, run_id, [1, 3])]
    return {
        "one process": [[(command, *SCORE)]],
        "tasks": [[(plan, NIGHT)], workers, [(publish, run_id)]],
    }


@pytest.fixture(scope="module")
def undisturbed(
    postgres, night, ways, digests, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Undisturbed]:
    """An undisturbed run of each way; both give the same rows."""
    with spawning(tmp_path_factory.mktemp("undisturbed")) as spawn:
        found = {name: run(way, spawn, postgres, night, digests) for name, way in ways.items()}
    first, second = found.values()
    assert first.tables == second.tables
    return found


def run(way: Way, spawn, server: EmbeddedPostgres, night: str, digests) -> Undisturbed:
    """Score a copy of the night, process by process."""
    steps = []
    with copy_of(server, night) as url:
        for at, stage in enumerate(way):
            for place, (task, *rest) in enumerate(stage):
                child = spawn(task, url, *rest)
                child.go()
                steps += [Instant(at, place, *step) for step in lengths(child)]
                assert child.end() == 0, child.errors()
        with open_session("loan_default", url) as session:
            assert reached(session) == "published"
            return Undisturbed(digests(session, TABLES), steps)


def lengths(child: Child) -> list[tuple[int, float]]:
    """Return the number and the seconds of each step of the scoring itself.

    The opening of the session, up to the first commit, and the row of task_metrics are left out.
    """
    told = list(child.steps())
    names = [step.name for step in told]
    noted = [place for place, name in enumerate(names) if "task_metrics" in name]
    return [
        (place, told[place + 1].began - told[place].began)
        for place in range(names.index("after commit"), min([*noted, len(told) - 1]))
    ]


_numbers = itertools.count(1)


@contextmanager
def copy_of(server: EmbeddedPostgres, template: str | None) -> Iterator[str]:
    """Yield the URL of a copy of a database, or of an empty one for None; drop it at the end."""
    name = f"copy_{next(_numbers)}"
    source = f"template {template.rpartition('/')[2]}" if template else ""
    ask_server(server, f"create database {name} owner loan_scoring {source}")
    ask_server(server, f"grant connect on database {name} to {database.READER}")
    yield server.url().rpartition("/")[0] + f"/{name}"
    ask_server(server, f"drop database {name} with (force)")


def ask_server(server: EmbeddedPostgres, statement: str) -> None:
    with closing(psycopg2.connect(server.url("postgres"))) as connection:
        connection.autocommit = True
        connection.cursor().execute(statement)


def reached(session: Session) -> str:
    """Return how far a run got; check that mini-batches are whole and all or no rows visible."""
    (found,) = database.select_read_only(session.connection, STANDING)[1]
    runs, current, slices, scored, loans_of_scored, rows, visible = found
    assert runs in (0, 1)
    assert slices == runs * SLICES
    assert rows == loans_of_scored == scored * LOANS // SLICES
    assert visible == current * LOANS
    if current:
        assert scored == SLICES
        return "published"
    if scored:
        return "all mini-batches" if scored == SLICES else "some mini-batches"
    return "planned" if runs else "nothing"


def test_killed_scoring_ends_in_the_same_rows(
    undisturbed, ways, night, spawn, postgres, digests, capsys
) -> None:
    chance, died_in, found = random.Random(5), Counter(), Counter()  # noqa: S311 - no secret
    for kill in range(KILLS):
        name = list(ways)[kill % 2]
        at = undisturbed[name].instant((kill + chance.random()) / KILLS)
        with copy_of(postgres, night) as url:
            died_in[kill_at(at, ways[name], spawn, url)] += 1
            with open_session("loan_default", url) as session:
                found[reached(session)] += 1
                score_batch(session, NIGHT)
                assert reached(session) == "published"
                assert digests(session, TABLES) == undisturbed[name].tables
    told(capsys, f"{KILLS} kills found {dict(found)}; they fell", died_in)


def kill_at(at: Instant, way: Way, spawn, url: str) -> str:
    """Run the stages up to a moment, and kill one task then; return the step that it died in.

    The concurrent task runs to its end.
    """
    for number, stage in enumerate(way[: at.stage + 1]):
        working = [spawn(task, url, *rest) for task, *rest in stage]
        for child in working:
            child.go()
        if number == at.stage:
            died_in = working.pop(at.task).kill_in(at.step, at.seconds)
        for child in working:
            assert child.end() == 0, child.errors()
    return died_in.name


def told(capsys, headline: str, counts: Counter[str]) -> None:
    """Print the results of a long run."""
    if KILLS > 4:
        with capsys.disabled():
            print(f"\n{headline}")  # noqa: T201
            for name, count in counts.most_common():
                print(f"  {count:3} {name}")  # noqa: T201


@pytest.fixture(scope="module")
def crashing(
    tmp_path_factory: pytest.TempPathFactory, night: str
) -> Iterator[tuple[EmbeddedPostgres, str]]:
    """A server to crash, and the URL of its copy of the night."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("crashing"))
    server.start()
    with copy_of(server, None) as url:
        dump = subprocess.run([postgres_program("pg_dump"), night], check=True, capture_output=True)
        restore = [postgres_program("psql"), "--quiet", "--set=ON_ERROR_STOP=1", url]
        subprocess.run(restore, input=dump.stdout, check=True, capture_output=True)
        yield server, url
    server.stop()


def test_crash_of_postgres_under_scoring_is_one_line_and_the_rerun_ends_in_the_same_rows(
    undisturbed, crashing, spawn, digests, capsys
) -> None:
    server, template = crashing
    chance, found = random.Random(6), Counter()  # noqa: S311 - when to crash is no secret
    for crash in range(FEW):
        at = undisturbed["one process"].instant((crash + chance.random()) / FEW)
        # Killed outright, or stopped in immediate mode, which does not wait for anything either.
        number = (signal.SIGKILL, signal.SIGQUIT)[crash % 2]
        with copy_of(server, template) as url:
            child = spawn(command, url, *SCORE)
            child.go()
            under = child.wait_for(at.step, at.seconds)[-1].name
            postmaster = read_postmaster(server.data)
            assert postmaster is not None
            processes.send([postmaster.pid], number)
            code, line = child.end(), child.errors()
            assert processes.wait_gone(postmaster.pid, 10)
            server.start()
            with open_session("loan_default", url) as session:
                state = reached(session)
                found[f"{number.name} under {under}: {state}: {line.strip() or 'done'}"] += 1
                assert code in (0, 1)
                if code == 1:
                    assert line.startswith("loan-scoring: lost the database at postgresql://")
                    assert line.count("\n") == 1
                else:
                    assert state == "published"
                score_batch(session, NIGHT)
                assert reached(session) == "published"
                assert digests(session, TABLES) == undisturbed["one process"].tables
    told(capsys, f"{FEW} crashes of Postgres found", found)


def test_batch_that_two_processes_score_at_once_is_scored_once(
    undisturbed, night, spawn, postgres, digests
) -> None:
    for _ in range(FEW):
        with copy_of(postgres, night) as url:
            both = [spawn(command, url, *SCORE) for _ in range(2)]
            for child in both:
                child.go()
            for child in both:
                assert child.end() == 0, child.errors()
            with open_session("loan_default", url) as session:
                assert reached(session) == "published"
                assert digests(session, TABLES) == undisturbed["one process"].tables


def test_reader_sees_nothing_or_a_whole_current_revision(
    undisturbed, ways, night, spawn, postgres, drops: Replay, tmp_path: Path, capsys
) -> None:
    lines = drops.application_files[NIGHT].read_text().splitlines()
    corrected = tmp_path / "corrected.csv"
    corrected.write_text("\n".join(lines[:-1]) + "\n")
    chance, looks = random.Random(7), Counter()  # noqa: S311 - when to kill is no secret
    for number in range(FEW):
        with copy_of(postgres, night) as url, reading(postgres, url) as reader:
            whole = []
            for revision in (1, 2):
                if revision == 2:
                    with open_session("loan_default", url) as session:
                        ingest_batch(session, NIGHT, corrected)
                at = undisturbed["one process"].instant((number + chance.random()) / FEW)
                kill_at(at, ways["one process"], spawn, url)
                child = spawn(command, url, *SCORE)
                child.go("step by step")
                for _ in child.steps():
                    reader.look()
                assert child.end() == 0, child.errors()
                reader.look()
                whole.append(reader.seen[-1])
        assert [count for count, _ in whole] == [LOANS, LOANS - 1]
        # Between a new revision and its scores nothing is seen: the old scores are outdated.
        none = (0, None)
        assert [seen for seen, _ in itertools.groupby(reader.seen)] == [
            none, whole[0], none, whole[1],
        ]  # fmt: skip
        looks.update(f"{count} rows" for count, _ in reader.seen)
    told(capsys, f"{FEW} rounds of a reader saw", looks)


class Reader:
    """A read-only session that records which scores are visible."""

    def __init__(self, url: str) -> None:
        self.connection = database.connect("loan_default", url)
        self.connection.autocommit = True
        self.seen: list[tuple[int, str | None]] = []
        self._lock = threading.Lock()

    def look(self) -> None:
        with self._lock, self.connection.cursor() as cursor:
            cursor.execute(VISIBLE)
            (found,) = cursor.fetchall()
            self.seen.append(found)

    def look_until(self, end: threading.Event) -> None:
        while not end.wait(0.001):
            self.look()


@contextmanager
def reading(server: EmbeddedPostgres, url: str) -> Iterator[Reader]:
    """Let a reader look repeatedly until the end of the block."""
    name = url.rpartition("/")[2]
    reader = Reader(server.url(database.READER).rpartition("/")[0] + f"/{name}")
    end = threading.Event()
    with closing(reader.connection), ThreadPoolExecutor(1) as pool:
        reader.look()
        looking = pool.submit(reader.look_until, end)
        try:
            yield reader
        finally:
            end.set()
            looking.result()


def test_copy_that_postgres_ends_is_one_line(
    night: str,
    postgres: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    end = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where query like 'COPY%'"

    class Rows(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            ask_server(postgres, end)
            return super().read(size)

    with copy_of(postgres, night) as url:
        monkeypatch.setattr(database, "as_csv", lambda _: Rows(b"a,b"))
        assert command(url, *SCORE) == 1
        printed = capsys.readouterr().err
        assert printed.startswith(
            "loan-scoring: lost the database at postgresql://loan_scoring@127"
        )
        assert printed.endswith("then run the same command again\n")
        assert printed.count("\n") == 1
