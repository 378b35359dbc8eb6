"""Sources: every kind of file is read exactly, and every fault gives one clear error line."""

import csv
import gzip
import hashlib
import importlib
import io
import logging
import os
import subprocess
import sys
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loan_scoring import contract
from loan_scoring.contract import FileFormat
from loan_scoring.errors import ContractError, SourceError
from loan_scoring.ingest.files import csv_rows
from loan_scoring.ingest.files import web as files_web
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.files.locations import is_synthetic, location_label
from loan_scoring.ingest.files.table import open_table
from loan_scoring.lab.source import resolve_source

COLUMNS = ("a", "b", "c")
SIMPLE = b"a,b,c\n1,x,3\n4,,6\n"


class Read:
    """The whole content of a table."""

    def __init__(self, location: str | Path, wanted: tuple[str, ...] = COLUMNS, **options: object):
        with open_table(location, wanted, **options) as table:  # type: ignore[arg-type]
            self.header, self.sha256 = table.header, table.sha256
            self.blocks: list[Block] = list(table)
        self.rows = [tuple(row.values()) for b in self.blocks for row in b.table.to_pylist()]
        self.lines = [int(line) for b in self.blocks for line in b.line_numbers]
        self.raw = [b.raw_text(i) for b in self.blocks for i in range(b.table.num_rows)]
        self.malformed = [m for b in self.blocks for m in b.malformed]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def zipped(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


# How rows are read


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_way_to_write_a_csv_gives_the_same_rows(
    tmp_path: Path, delimiter: str, line_end: str, mark: bytes
) -> None:
    text = SIMPLE.decode().replace(",", delimiter).replace("\n", line_end)
    read = Read(write(tmp_path / "f.csv", mark + text.encode()))
    assert read.rows == [("1", "x", "3"), ("4", "", "6")]
    assert read.lines == [2, 3]
    assert read.raw == [f"1{delimiter}x{delimiter}3", f"4{delimiter}{delimiter}6"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("f.csv", SIMPLE),
        ("f.csv.gz", gzip.compress(SIMPLE, mtime=0)),
        ("f.csv.gz", gzip.compress(SIMPLE[:10], mtime=0) + gzip.compress(SIMPLE[10:], mtime=0)),
        ("f.csv.zip", zipped(f=SIMPLE)),
        ("f.csv.zip", zipped(**{"f": SIMPLE, "__MACOSX/._f": b"x"})),
        ("f.csv", SIMPLE.rstrip()),
    ],
)
def test_packed_files_are_unpacked_and_hashed_as_delivered(
    tmp_path: Path, name: str, content: bytes
) -> None:
    read = Read(write(tmp_path / name, content))
    assert read.rows == [("1", "x", "3"), ("4", "", "6")]
    assert read.sha256 == hashlib.sha256(content).hexdigest()


def test_text_stays_as_it_is(tmp_path: Path) -> None:
    read = Read(write(tmp_path / "f.csv", b'a,b,c\nNA,"", 1.0 \n007,"say ""x""",null\n'))
    assert read.rows == [("NA", "", " 1.0 "), ("007", 'say "x"', "null")]
    assert read.raw == ['NA,"", 1.0 ', '007,"say ""x""",null']


def test_columns_come_in_the_wanted_order_and_extra_ones_stay_out(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", b"x,c,b,a\n0,3,2,1\n")
    read = Read(path, optional=("x2", "x3"))
    assert read.blocks[0].table.column_names == ["a", "b", "c"]
    assert (read.header.names, read.header.missing, read.header.extra) == (
        ["x", "c", "b", "a"],
        ["x2", "x3"],
        ["x"],
    )
    assert Read(path, optional=("x",)).rows == [("1", "2", "3", "0")]


def test_latin_1_is_read_where_it_is_declared(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", "a,b,c\n1,Zürich,3\n".encode("latin-1"))
    assert Read(path, file_format=FileFormat(encoding="latin-1")).rows == [("1", "Zürich", "3")]
    assert Read(path, file_format=FileFormat(encoding="latin-1")).raw == ["1,Zürich,3"]
    (bad,) = Read(path).malformed
    assert (bad.line_number, bad.raw_text, bad.reason) == (2, r"1,Z\xfcrich,3", "encoding")


def test_a_line_number_is_the_line_on_which_the_record_begins(tmp_path: Path) -> None:
    read = Read(write(tmp_path / "f.csv", b'a,b,c\n\n1,"x\ny\n",3\r\n\r\n4,5,6'))
    assert list(zip(read.lines, read.rows, strict=True)) == [
        (3, ("1", "x\ny\n", "3")),
        (7, ("4", "5", "6")),
    ]


@pytest.mark.parametrize("block_bytes", [1, 5, 16, 1 << 20])
def test_a_stray_quote_costs_its_own_line_and_nothing_that_follows(
    tmp_path: Path, block_bytes: int
) -> None:
    text = b'a,b,c\n1,2,3\n4,"5,6\n7,8,9\n1,5" pipe,2\n1,"a"b,2\n' + b"1,2,3\n" * 150
    read = Read(write(tmp_path / "f.csv", text), block_bytes=block_bytes)
    assert [(m.line_number, m.raw_text, m.reason) for m in read.malformed] == [
        (3, '4,"5,6', "field_count"),
        (6, '1,"a"b,2', "field_count"),
    ]
    assert read.lines == [2, 4, 5, *range(7, 157)]
    assert read.rows[2] == ("1", '5" pipe', "2")


def test_bytes_that_are_not_text_are_shown_and_cost_their_own_record(tmp_path: Path) -> None:
    read = Read(write(tmp_path / "f.csv", b"a,b,c\n1,\xff,3\n1,\x00,3\n1,2\r3,3\n1,2,3\n"))
    assert [(m.line_number, m.raw_text, m.reason) for m in read.malformed] == [
        (2, r"1,\xff,3", "encoding"),
        (3, r"1,\x00,3", "encoding"),
        (4, "1,2\r3,3", "field_count"),
    ]
    assert read.rows == [("1", "2", "3")]


VALUE = st.text(
    st.sampled_from('ab1é€,;\t"\n\r ') | st.characters(codec="utf-8", exclude_characters="\0"),
    max_size=6,
)
RECORD = st.lists(VALUE, min_size=3, max_size=3)
FAULT = st.sampled_from([b"1,2", b"1,2,3,4", b"1,\xff,3", b"1,\x00,3", b'1,2"3",4"'])


@settings(max_examples=300, deadline=None)
@given(
    parts=st.lists(RECORD | FAULT | st.just(b""), min_size=1, max_size=30),
    block_bytes=st.integers(1, 200),
    ends_with_line_end=st.booleans(),
)
def test_every_record_is_given_back_once_with_its_line_whatever_the_blocks(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[list[str] | bytes],
    block_bytes: int,
    ends_with_line_end: bool,
) -> None:
    content, line = b"a,b,c\n", 2
    rows, lines, raw, faults = [], [], [], []
    for part in [["first", "", ""], *parts]:
        if isinstance(part, list):
            text = io.StringIO()
            csv.writer(text, lineterminator="", quoting=csv.QUOTE_ALL).writerow(part)
            record = text.getvalue().encode()
            rows.append(tuple(part))
            lines.append(line)
            raw.append(record.decode())
        else:
            record = part
            if record == b'1,2"3",4"':
                rows.append(("1", '2"3"', '4"'))
                lines.append(line)
                raw.append(record.decode())
            elif record:
                faults.append(line)
        content += record + b"\n"
        line += record.count(b"\n") + 1
    # The beginning of a record without a line end refuses the file: see test_deliveries.py.
    if not ends_with_line_end and parts[-1] != b"1,2":
        content = content[:-1]
    path = write(tmp_path_factory.getbasetemp() / "property.csv", content)
    with pytest.MonkeyPatch.context() as patch:
        # Otherwise ten faults that outnumber the rows refuse the whole file.
        patch.setattr(csv_rows, "FEW_ROWS", 1000)
        read = Read(path, block_bytes=block_bytes)
    assert read.rows == rows
    assert read.lines == lines
    assert read.raw == raw
    assert [m.line_number for m in read.malformed] == faults


def test_parquet_values_become_text_and_nulls_empty(tmp_path: Path) -> None:
    table = pa.table(
        {
            "c": pa.array([1.5, None, 360.0]),
            "a": pa.array([1, 2, 3]),
            "b": pa.array(["x,y", None, "z"]).dictionary_encode(),
            "extra": [[1], [2], [3]],
        }
    )
    pq.write_table(table, tmp_path / "f.parquet")
    read = Read(tmp_path / "f.parquet")
    assert read.rows == [("1", "x,y", "1.5"), ("2", "", ""), ("3", "z", "360")]
    assert read.lines == [2, 3, 4]
    assert read.raw[0] == '1,"x,y",1.5'
    assert read.header.extra == ["extra"]


def test_a_nul_in_parquet_is_a_malformed_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": ["1", "2"], "b": ["x\0", "y"], "c": ["", ""]}), tmp_path / "f")
    read = Read(tmp_path / "f")
    assert [(m.line_number, m.raw_text, m.reason) for m in read.malformed] == [
        (2, r"1,x\x00,", "encoding")
    ]
    assert (read.rows, read.lines) == ([("2", "y", "")], [3])


def test_a_glob_is_one_table_in_the_order_of_names(tmp_path: Path) -> None:
    second = write(tmp_path / "b.csv", b"a,b,c\n3,,\n").read_bytes()
    first = write(tmp_path / "a.csv", b"a,b,c\n1,,\n2,,").read_bytes()
    read = Read(tmp_path / "*.csv")
    assert [row[0] for row in read.rows] == ["1", "2", "3"]
    assert read.lines == [2, 3, 5]
    assert read.sha256 == hashlib.sha256(first + second).hexdigest()


def test_a_glob_needs_one_header(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", SIMPLE)
    write(tmp_path / "b.csv", b"a,c,b\n1,2,3\n")
    with pytest.raises(
        SourceError, match=r"b\.csv: its header differs from the header of .*a\.csv"
    ):
        Read(tmp_path / "*.csv")


# Files that break whole


def _no_rows(**columns: list[str]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


WHOLE = {
    "empty": ("f.csv", b"", "the file is empty"),
    "blank lines only": ("f.csv", b"\n\r\n", "the file is empty"),
    "header only": ("f.csv", b"a,b,c\n", "a header but no rows"),
    "header and blank lines": ("f.csv", b"a,b,c\r\n\r\n\r\n", "a header but no rows"),
    "header and many blank lines": ("f.csv", b"a,b,c\n" + b"\n" * 99999, "a header but no rows"),
    "empty gzip": ("f.gz", gzip.compress(b""), "the file is empty"),
    "empty named gzip": ("f.gz", b"", "the file is empty"),
    "truncated gzip": ("f.gz", gzip.compress(SIMPLE * 99)[:-9], "truncated or damaged"),
    "damaged gzip": ("f.gz", gzip.compress(SIMPLE)[:-6] + b"xxxxxx", "truncated or damaged"),
    "truncated zip": ("f.zip", zipped(f=SIMPLE * 99)[:-30], "truncated or damaged"),
    "no gzip": ("f.csv.gz", SIMPLE, "not packed as its name says"),
    "two members": ("f.zip", zipped(f=SIMPLE, g=SIMPLE), "holds 2 files; pack exactly one"),
    "no member": ("f.zip", zipped(), "holds 0 files"),
    "binary junk": ("f.csv", bytes(range(256)) * 99, "the file is binary, not text"),
    "undecodable header": ("f.csv", b"\x81\x82,b\n1,2\n", "the header is not utf-8"),
    "utf-16": ("f.csv", SIMPLE.decode().encode("utf-16"), "UTF-16"),
    "CR line ends": ("f.csv", SIMPLE.replace(b"\n", b"\r"), "lines end in CR only"),
    "missing columns": ("f.csv", b"a,x\n1,2\n", "columns b, c missing from the header"),
    "duplicate name": ("f.csv", b"a,b,c,b\n1,2,3,4\n", "column b twice in the header"),
    "wrong delimiter": (
        "f.csv",
        SIMPLE.replace(b",", b"^"),
        "no column of the contract in the header, line 1, of 1 field in 5 characters",
    ),
    "other delimiter below": ("f.csv", b"a,b,c\n" + b"1;2;3\n" * 20, "header's 3 fields"),
    "other encoding": ("f.csv", b"a,b,c\n" + b"1,\xfc,3\n" * 20, "20 of the first 20 records"),
    "not Parquet": ("f.parquet", SIMPLE, "not Parquet, or is damaged"),
    "truncated Parquet": (
        "f",
        _no_rows(a=["1"], b=["2"], c=["3"])[:-9],
        "not Parquet, or is damaged",
    ),
    "empty Parquet": ("f", _no_rows(a=[], b=[], c=[]), "a header but no rows"),
}


@pytest.mark.attack
@pytest.mark.parametrize("fault", WHOLE)
def test_a_file_that_breaks_whole_is_one_clear_line(tmp_path: Path, fault: str) -> None:
    name, content, message = WHOLE[fault]
    path = write(tmp_path / name, content)
    with pytest.raises(SourceError) as raised:
        Read(path)
    assert message in str(raised.value)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_a_directory_a_missing_file_and_an_unmatched_glob_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="this is a directory"):
        Read(tmp_path)
    with pytest.raises(SourceError, match="no such file"):
        Read(tmp_path / "none.csv")
    with pytest.raises(SourceError, match="no file matches"):
        Read(tmp_path / "*.csv")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="not a regular file"):
        Read(tmp_path / "pipe")


@pytest.mark.attack
@pytest.mark.parametrize("start", [b"", b"a,b,c\n1,2,3\n"])
@pytest.mark.parametrize("end", [b"", b"\n1,2,3\n"])
def test_a_line_of_64_mb_is_found_without_reading_it(
    tmp_path: Path, start: bytes, end: bytes
) -> None:
    path = write(tmp_path / "f.csv", start + b"x" * (64 << 20) + end)
    tracemalloc.start()
    with pytest.raises(SourceError, match=r"line \d is longer than 16 MB"):
        Read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60 << 20


@pytest.mark.attack
@pytest.mark.parametrize("name", ["f.gz", "f.zip"])
def test_a_zip_bomb_is_stopped_while_it_unpacks(tmp_path: Path, name: str) -> None:
    content = b"a,b,c\n" + b"1,2,3\n" * (20 << 20)
    packed = gzip.compress(content) if name == "f.gz" else zipped(f=content)
    path = write(tmp_path / name, packed)
    with (
        open_table(path, COLUMNS) as table,
        pytest.raises(SourceError, match="unpacks to more than 100 times its size"),
    ):
        assert sum(block.table.num_rows for block in table) * 6 < 80 << 20


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", SIMPLE)
    with open_table(path, COLUMNS) as table:
        blocks = iter(table)
        next(blocks)
        path.write_bytes(SIMPLE * 2)
        with pytest.raises(SourceError, match="changed while it was being read"):
            list(blocks)


def test_a_file_that_is_replaced_while_it_is_read_stays_the_one_that_was_opened(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "f.csv", SIMPLE)
    with open_table(path, COLUMNS) as table:
        write(tmp_path / "new", b"a,b,c\n9,9,9\n").replace(path)
        assert table.sha256 == hashlib.sha256(SIMPLE).hexdigest()
        assert [block.table.num_rows for block in table] == [2]


# Where bytes come from


class Handler(BaseHTTPRequestHandler):
    """Serve SIMPLE, with or without a failure."""

    failures = 0
    requests: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        path = urlsplit(self.path).path  # a proxy is asked for a whole URL
        self.requests.append(path)
        body = gzip.compress(SIMPLE, mtime=0) if path.endswith(".gz") else SIMPLE
        if path == "/moved.csv":
            self.send_response(302)
            self.send_header("Location", "/none.csv")
            self.end_headers()
        elif path == "/elsewhere.csv":
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/f.csv")
            self.end_headers()
        elif path == "/round.csv":
            self.send_response(302)
            self.send_header("Location", "/round.csv")
            self.end_headers()
        elif path == "/secret.csv":
            self.send_response(418, "sk-live-9f2c")
            self.end_headers()
            self.wfile.write(b"sk-live-9f2c")
        elif path == "/none.csv":
            self.send_error(404)
        elif path == "/flaky.csv" and len(self.requests) <= self.failures:
            self.send_error(503)
        else:
            self.send_response(200)
            truncated = path == "/truncated.csv" and len(self.requests) <= self.failures
            if path != "/endless.csv":  # its length is not declared
                self.send_header("Content-Length", str(len(body)))
            if path == "/encoded.gz":
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if truncated else body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(files_web, "RETRY_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(Handler, "requests", [])
    monkeypatch.setattr(Handler, "failures", 99)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("name", ["f.csv", "f.csv.gz", "f.csv?token=secret"])
def test_a_url_is_downloaded_and_read(server: str, name: str) -> None:
    assert Read(f"{server}/{name}").rows == [("1", "x", "3"), ("4", "", "6")]


def test_a_redirect_to_nothing_is_an_error_that_is_not_retried(server: str) -> None:
    with pytest.raises(SourceError, match=r"/moved\.csv: the server answered 404 Not Found"):
        Read(f"{server}/moved.csv")
    assert Handler.requests == ["/moved.csv", "/none.csv"]


@pytest.mark.attack
def test_a_redirect_to_another_host_must_be_declared(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match="redirects to localhost; if that host is right, add it"):
        Read(f"{server}/elsewhere.csv")
    assert Handler.requests == ["/elsewhere.csv"]
    monkeypatch.setenv("LOAN_SCORING_REDIRECT_HOSTS", "other.example,localhost")
    assert Read(f"{server}/elsewhere.csv").rows == [("1", "x", "3"), ("4", "", "6")]


@pytest.mark.attack
def test_redirects_come_to_an_end(server: str) -> None:
    with pytest.raises(SourceError, match="redirects more than 5 times"):
        Read(f"{server}/round.csv")
    assert len(Handler.requests) == 6


@pytest.mark.attack
def test_no_answer_of_a_server_is_shown(server: str) -> None:
    with pytest.raises(SourceError, match="the server answered 418 I'm a Teapot") as raised:
        Read(f"{server}/secret.csv")
    assert "sk-live" not in str(raised.value)


@pytest.mark.attack
@pytest.mark.parametrize("name", ["f.csv", "endless.csv"])
def test_a_download_has_a_largest_size(
    server: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_web.settings, "max_download_bytes", lambda: len(SIMPLE) - 1)
    with pytest.raises(SourceError, match="raise LOAN_SCORING_MAX_DOWNLOAD_GIB"):
        Read(f"{server}/{name}")
    monkeypatch.setattr(files_web.settings, "max_download_bytes", lambda: len(SIMPLE))
    assert len(Read(f"{server}/{name}").rows) == 2


@pytest.mark.parametrize("given", ["0", "-1", "many", "1.5"])
def test_a_wrong_largest_size_is_named(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOAN_SCORING_MAX_DOWNLOAD_GIB", given)
    with pytest.raises(ContractError, match=f"is '{given}'; give a whole number"):
        files_web.settings.max_download_bytes()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("truncated.csv", f"ended after {len(SIMPLE) // 2} of {len(SIMPLE)} bytes"),
        ("flaky.csv", "the server answered 503"),
    ],
)
def test_a_bad_connection_is_tried_three_times(
    server: str, name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match=message) as raised:
        Read(f"{server}/{name}?token=secret")
    assert len(Handler.requests) == 3
    assert "secret" not in str(raised.value)
    Handler.requests.clear()
    monkeypatch.setattr(Handler, "failures", 2)
    assert len(Read(f"{server}/{name}").rows) == 2


@pytest.mark.attack
def test_no_secret_of_a_url_is_shown(server: str) -> None:
    url = server.replace("//", "//user:secret@") + "/f.csv?signature=secret"
    assert "secret" not in location_label(url)
    with pytest.raises(SourceError, match="must not hold a user or password") as raised:
        Read(url)
    assert "secret" not in str(raised.value)


@pytest.mark.attack
def test_no_log_shows_the_query_of_a_url(server: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        Read(f"{server}/f.csv?signature=secret")
    assert "secret" not in caplog.text


def test_a_body_is_taken_as_it_is_delivered(server: str) -> None:
    read = Read(f"{server}/encoded.gz")
    assert read.rows == [("1", "x", "3"), ("4", "", "6")]
    assert read.sha256 == hashlib.sha256(gzip.compress(SIMPLE, mtime=0)).hexdigest()


@pytest.mark.attack
def test_a_proxy_is_taken_from_the_environment_and_its_password_not_shown(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", server)
    assert Read("http://host.invalid/f.csv").rows == [("1", "x", "3"), ("4", "", "6")]
    monkeypatch.setenv("http_proxy", "http://user:sec#ret@host:1")
    with pytest.raises(SourceError, match="the proxy in the environment cannot be used") as raised:
        Read("http://host.invalid/f.csv")
    assert "sec" not in str(raised.value)


def test_an_unknown_host_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_web, "RETRY_SECONDS", ())
    with pytest.raises(SourceError, match="its host is not known; check the URL and the network"):
        Read("http://host.invalid/f.csv")


def test_a_server_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_web, "RETRY_SECONDS", ())
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        url = f"http://127.0.0.1:{closed.server_address[1]}/f.csv"
    with pytest.raises(SourceError, match="connection refused; check the URL and the network"):
        Read(url)


@pytest.mark.parametrize(
    ("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("abfs", "adlfs")]
)
def test_object_storage_names_the_package_that_it_needs(
    scheme: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(SourceError, match=f"needs the package {package}; run `pip install"):
        Read(f"{scheme}://bucket/f.csv")


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(SourceError, match="'ftp://' is not supported"):
        Read("ftp://host/f.csv")


def test_s3_objects_are_read_from_a_real_server(monkeypatch: pytest.MonkeyPatch) -> None:
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        s3fs.S3FileSystem.clear_instance_cache()
        store = s3fs.S3FileSystem()
        store.mkdir("loans")
        store.pipe("loans/1.csv", SIMPLE)
        store.pipe("loans/2.csv.gz", gzip.compress(SIMPLE))
        assert len(Read("s3://loans/1.csv").rows) == 2
        assert len(Read("s3://loans/*").rows) == 4
        with pytest.raises(SourceError, match=r"s3://loans/3\.csv: no such object"):
            Read("s3://loans/3.csv")
    finally:
        server.stop()


# Which source a replay takes


def test_resolve_goes_from_explicit_to_the_contract_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    monkeypatch.delenv("LOAN_SCORING_SOURCE", raising=False)
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    loans = contract.load("loan_default")
    with_url = loans.model_copy(update={"source": contract.Source(url=f"{server}/f.csv.gz")})
    without = loans.model_copy(update={"source": contract.Source(url=f"{server}/none.csv")})
    assert resolve_source(without, None) is None
    assert resolve_source(with_url, None) == f"{server}/f.csv.gz"
    for suffix in (".csv.zip", ".csv.gz", ".csv"):
        path = write(tmp_path / f"loan_default{suffix}", b"")
        assert resolve_source(with_url, None) == str(path)
    environment, explicit = write(tmp_path / "e.csv", b""), write(tmp_path / "x.csv", b"")
    monkeypatch.setenv("LOAN_SCORING_SOURCE", str(environment))
    assert resolve_source(with_url, None) == str(environment)
    assert resolve_source(with_url, str(explicit)) == str(explicit)


def test_a_chosen_source_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    loans = contract.load("loan_default")
    with pytest.raises(SourceError, match="404"):
        resolve_source(loans, f"{server}/none.csv")
    monkeypatch.setenv("LOAN_SCORING_SOURCE", str(tmp_path / "gone.csv"))
    with pytest.raises(SourceError, match=r"gone\.csv: no such file"):
        resolve_source(loans, None)


def test_a_name_marks_generated_rows() -> None:
    assert is_synthetic("/landing/2026-01-05.synthetic.csv")
    assert is_synthetic("https://host/history.synthetic.csv.gz?x=1")
    assert not is_synthetic(Path("/data.synthetic.d/2026-01-05.csv"))


# Cost

# VmHWM, not ru_maxrss: a process inherits that from its parent.
PEAK = """
import re, sys
from pathlib import Path
from loan_scoring.ingest.files.table import open_table
rows = 0
with open_table(sys.argv[1], ["a", "b", "c"]) as table:
    table.sha256
    for block in table:
        rows += block.table.num_rows
print(rows, *re.findall(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text()))
"""


def test_ten_times_the_rows_take_no_more_memory(tmp_path: Path) -> None:
    rows = b"".join(
        b"%d,%d,some text that makes the row longer\n" % (i, i * 7) for i in range(400_000)
    )
    peaks = []
    for times in (1, 10):
        path = write(tmp_path / f"{times}.csv", b"a,b,c\n" + rows * times)
        run = [sys.executable, "-c", PEAK, str(path)]
        count, peak = subprocess.run(run, capture_output=True, check=True, text=True).stdout.split()
        assert int(count) == 400_000 * times
        peaks.append(int(peak))
    assert peaks[1] <= 1.2 * peaks[0]


def test_the_real_file_is_read_to_the_last_row() -> None:
    location = os.environ.get("LOAN_SCORING_SOURCE")
    if not location:
        pytest.skip("LOAN_SCORING_SOURCE names no labelled file")
    loans = contract.load("loan_default")
    wanted = (*loans.sources, loans.target.source)
    with open_table(location, wanted, file_format=loans.source) as table:
        blocks = list(table)
    lines = np.concatenate([block.line_numbers for block in blocks])
    assert len(lines) == sum(block.table.num_rows for block in blocks)
    assert (np.diff(lines) > 0).all()
    assert not any(block.malformed for block in blocks)
    last = blocks[-1]
    key = last.table.column(loans.key.source)[-1].as_py()
    assert key in last.raw_text(last.table.num_rows - 1).split(",")
