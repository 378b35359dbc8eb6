"""A file is written whole or not at all, whoever else writes it at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from loan_scoring.database.files import draft_path, replacing, write_whole


def test_writers_with_one_process_number_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    contents = [bytes([65 + number]) * 200_000 for number in range(8)]
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda content: write_whole(path, content), contents))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]
    assert draft_path(path) != draft_path(path)


def test_failure_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "card.html"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as draft:
            draft.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_private_file_is_private_from_its_first_byte(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    write_whole(path, b"{}", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    write_whole(tmp_path / "page.html", b"")
    (tmp_path / "plain").touch()
    assert (tmp_path / "page.html").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_draft_is_hidden_and_no_landed_file(tmp_path: Path) -> None:
    name = draft_path(tmp_path / "2026-01-05.csv").name
    assert name.startswith(".2026-01-05.csv.")
    assert name.endswith(".part")
