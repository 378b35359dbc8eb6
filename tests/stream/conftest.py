"""Fixtures of streams: loans to send, and the URL of a database with champions."""

import csv
import gzip
import itertools
import os
from pathlib import Path

import pytest

from loan_scoring.database.session import Session
from loan_scoring.lab.replay import Replay

LOANS = 5_000


@pytest.fixture(scope="module")
def night_file(drops: Replay, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 5,000 real loans that the models have not seen, or of 4,000 generated ones."""
    path = tmp_path_factory.mktemp("stream") / "night.csv"
    source = os.environ.get("LOAN_SCORING_SOURCE")
    with path.open("w", newline="") as out:
        if source:
            with gzip.open(source, "rt", newline="") as whole:
                rows = csv.reader(whole)
                header = next(rows)
                chosen = itertools.islice(rows, 20_000, 20_000 + LOANS)
                csv.writer(out).writerows([header, *chosen])
            return path
        for place, night in enumerate(sorted(set(drops.application_files) - {"history"})):
            lines = Path(drops.application_files[night]).read_text().splitlines(keepends=True)
            out.writelines(lines[place > 0 :])
    return path


@pytest.fixture
def url(ready: Session) -> str:
    known = ready.connection.info
    return f"postgresql://{known.user}:{known.password}@{known.host}:{known.port}/{known.dbname}"
