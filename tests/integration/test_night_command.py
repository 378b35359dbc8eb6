"""`loan-scoring night` leaves the rows of its three stages, one after the other."""

import json
from collections.abc import Callable

import pytest

from loan_scoring.cli.main import main
from loan_scoring.database.session import open_session
from loan_scoring.lab.replay import Replay

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
TABLES = {
    "current_scores": "to_jsonb(t) - 'scored_at'",
    "drift": "to_jsonb(t) - 'computed_at'",
    "batches": "to_jsonb(t) - 'landed_at' - 'published_at'",
}


def test_a_night_is_its_three_stages(
    new_database: Callable[..., str],
    trained,
    drops: Replay,
    digests: Callable[..., dict[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    by_stages, at_once = (new_database(template=trained.url) for _ in range(2))
    source = ["--source", str(drops.application_files[NIGHT])]
    for stage, more in (("ingest", source), ("score", []), ("metrics", [])):
        assert main([stage, "--batch", NIGHT, "--database", by_stages, *more]) == 0
    capsys.readouterr()
    for _ in range(2):  # a night may run again
        assert main(["night", "--batch", NIGHT, "--database", at_once, *source, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.split("\n}\n")[0] + "\n}")
    assert told["ingest"]["accepted"] == told["score"]["applications"] == 1000
    assert told["metrics"]["tests"] > 0
    with open_session("loan_default", by_stages) as one, open_session("loan_default", at_once) as b:
        assert digests(one, TABLES) == digests(b, TABLES)


def test_the_first_stage_that_fails_ends_the_night(
    new_database: Callable[..., str], drops: Replay, capsys: pytest.CaptureFixture[str]
) -> None:
    url = new_database()
    source = ["--source", str(drops.application_files[NIGHT])]
    assert main(["night", "--batch", NIGHT, "--database", url, *source]) == 1
    told = capsys.readouterr()
    assert "no champion" in told.err
    assert told.out == ""
