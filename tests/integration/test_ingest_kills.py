"""An ingest that is killed at any moment and run again gives the rows of an undisturbed run.

LOAN_SCORING_KILLS sets the number of kills; the default is small.
"""

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
KILLS = int(os.environ.get("LOAN_SCORING_KILLS", "4"))
TABLES = {
    "batches": "to_jsonb(t) - 'landed_at' - 'published_at'",
    "applications": "t",
    "quarantine": "t",
    "outcomes": "t",
    "outcome_drops": "to_jsonb(t) - 'landed_at'",
}


@pytest.fixture(scope="module")
def files(drops: Replay, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The history with its labels, and a night, both with some broken rows."""
    folder = tmp_path_factory.mktemp("broken")
    made = {}
    for batch_id in ("history", NIGHT):
        lines = drops.application_files[batch_id].read_text().splitlines()
        lines[3] = "a,b"
        lines[9] = lines[8]
        lines[20] = lines[20].replace(",2019,", ",1066,")
        made[batch_id] = folder / f"{batch_id}.csv"
        made[batch_id].write_text("\n".join(lines) + "\n")
    return made


def reached(session: Session, batch_id: str) -> str:
    """Return how far a killed ingest got; check that all or none of its rows are visible."""
    _, found = database.select_read_only(
        session.connection,
        "select state, accepted = (select count(*) from current_applications a"
        " where a.batch_id = b.batch_id), (select count(*) from current_applications a"
        f" where a.batch_id = b.batch_id) from batches b where batch_id = '{batch_id}'",
    )
    if not found:
        return "nothing"
    (name, is_whole, visible), *more = found
    assert not more
    assert is_whole if name == "published" else visible == 0
    return str(name)


def test_killed_ingest_ends_in_the_same_rows(
    files: dict[str, Path], new_database, spawn_ingest, digests, capsys
) -> None:
    template = new_database()
    with open_session("loan_default", template):
        pass
    undisturbed, seconds = new_database(template=template), {}
    for batch_id, path in files.items():
        child = spawn_ingest(undisturbed, batch_id, path)
        started = time.monotonic()
        child.go()
        assert child.end() == 0, child.errors()
        seconds[batch_id] = time.monotonic() - started
    with open_session("loan_default", undisturbed) as session:
        expected = digests(session, TABLES)
    chance, found = random.Random(3), Counter()  # noqa: S311 - when to kill is no secret
    for kill in range(0, KILLS, len(files)):
        url = new_database(template=template)
        for batch_id, path in files.items():
            child = spawn_ingest(url, batch_id, path)
            child.go()
            time.sleep(seconds[batch_id] * (kill + chance.uniform(0, len(files))) / KILLS)
            child.kill()
            with open_session("loan_default", url) as session:
                found[reached(session, batch_id)] += 1
                ingest_batch(session, batch_id, path)
        with open_session("loan_default", url) as session:
            assert digests(session, TABLES) == expected
    with capsys.disabled():
        if KILLS > 4:
            print(f"\n{KILLS} kills found {dict(found)}; undisturbed {seconds}")  # noqa: T201
