"""A file that is broken as a whole gives one clear line, exit 1, and no row in the database."""

import gzip
import io
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.database.session import Session
from loan_scoring.lab.replay import Replay

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
Break = Callable[[bytes], bytes]


def packed_zip(*members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, data in enumerate(members):
            archive.writestr(f"{place}.csv", data)
    return out.getvalue()


def header(night: bytes) -> bytes:
    return night.split(b"\n")[0] + b"\n"


def bomb(night: bytes) -> bytes:
    return gzip.compress(header(night) + b"\n" * (100 << 20), 9)


JUNK = random.Random(1).randbytes(200_000)  # noqa: S311 - junk, no secret
FAULTS: dict[str, tuple[str, Break, str]] = {
    "empty": ("csv", lambda _: b"", "the file is empty"),
    "blank": ("csv", lambda _: b"\r\n\r\n", "the file is empty"),
    "header only": ("csv", header, "a header but no rows"),
    "header and blank lines": ("csv", lambda night: header(night) + b"\n\n", "no rows"),
    "truncated gzip": (
        "csv.gz", lambda night: gzip.compress(night)[:-2000], "the packed file is truncated"
    ),
    "truncated zip": ("zip", lambda night: packed_zip(night)[:-50], "the packed file is truncated"),
    "two files in a zip": ("zip", lambda night: packed_zip(night, night), "holds 2 files"),
    "text named gzip": ("csv.gz", lambda night: night, "not packed as its name says"),
    "binary junk": ("csv", lambda _: JUNK, "binary, not text"),
    "binary after the header": (
        "csv", lambda night: header(night) + JUNK, "fields|not utf-8"
    ),
    "UTF-16": ("csv", lambda night: night.decode().encode("utf-16"), "the text is UTF-16"),
    "missing column": (
        "csv", lambda night: night.replace(b"income", b"salary", 1), "column income missing"
    ),
    "duplicate header": (
        "csv", lambda night: night.replace(b",income,", b",term,", 1), "column term twice"
    ),
    "wrong delimiter": ("csv", lambda night: night.replace(b",", b"^"), "no column of the"),
    "another delimiter below": (
        "csv",
        lambda night: header(night) + night.removeprefix(header(night)).replace(b",", b";"),
        "none of the first 1000 records has the header's 33 fields",
    ),
    "a line of 64 MB": (
        "csv", lambda night: night + b"9" * (64 << 20), "line 1002 is longer than 16 MB"
    ),
    "a header of 64 MB": ("csv", lambda _: b"ID," * (64 << 20 >> 2), "longer than 16 MB"),
    "a header of 1 MB": ("csv", lambda night: b"x" * (1 << 20) + b"\n" + night, "no column of the"),
    "a bomb": ("csv.gz", bomb, "unpacks to more than 100 times its size"),
    "damaged Parquet": ("parquet", lambda _: b"PAR1" + bytes(1000), "not Parquet, or is damaged"),
    "every row broken": (
        "csv", lambda night: night.replace(b",2019,", b",1066,"), "1,000 of 1,000 rows"
    ),
}  # fmt: skip


@pytest.fixture
def url(empty: Session, postgres) -> str:
    name = empty.connection.get_dsn_parameters()["dbname"]
    return str(postgres.url("loan_scoring").rpartition("/")[0] + f"/{name}")


def refused(url: str, source: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Ingest by the command line; return its one error line."""
    capsys.readouterr()
    code = main(["ingest", "--batch", NIGHT, "--source", str(source), "--database", url])
    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    assert err.startswith("loan-scoring: ")
    assert err.count("\n") == 1
    assert len(err) < 500
    return err


@pytest.mark.parametrize("fault", FAULTS)
def test_broken_file_is_one_line_and_leaves_nothing(
    fault: str, empty: Session, url: str, drops: Replay, tmp_path: Path, capsys
) -> None:
    suffix, damage, message = FAULTS[fault]
    path = tmp_path / f"{NIGHT}.{suffix}"
    path.write_bytes(damage(drops.application_files[NIGHT].read_bytes()))
    line = refused(url, path, capsys)
    assert str(path) in line
    assert re.search(message, line), line
    _, left = database.select_read_only(
        empty.connection,
        "select (select count(*) from applications), (select count(*) from quarantine),"
        " (select count(*) from batches where state <> 'refused')",
    )
    assert left == [[0, 0, 0]]


def test_directory_is_one_line(
    empty: Session, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{tmp_path}: this is a directory; name a file in it" in refused(url, tmp_path, capsys)


def test_missing_file_is_one_line(url: str, tmp_path: Path, capsys) -> None:
    assert "no such file" in refused(url, tmp_path / "x.csv", capsys)
