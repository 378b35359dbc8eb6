"""Progress: a bar on a terminal, plain lines elsewhere."""

import io
import logging
import re

import pytest

from loan_scoring.lab.progress import Progress, track_items


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def report(out: io.StringIO) -> str:
    """Report three of four steps, one of them twice, and return what was written."""
    progress = Progress(4, out)
    progress.say("starting [all]")
    assert progress.reach(["one"])
    assert progress.reach(["one", "two", "three"])
    assert not progress.reach(["three"])
    progress.close()
    return out.getvalue()


def test_elsewhere_each_step_is_a_line_with_seconds_and_percent() -> None:
    text = re.sub(r"(?m)^ +\d+\.\d s", "S", report(io.StringIO()))
    assert text == "S    0%  starting [all]\nS   25%  one\nS   75%  two\nS   75%  three\n"


def test_on_a_terminal_a_bar_follows_the_lines_and_is_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    text = report(Terminal())
    lines = [line for line in re.sub(r"\x1b\[[\d;?]*[a-zA-Z]|\r", "", text).splitlines() if line]
    assert [re.sub(r"^.* s  ", "", line) for line in lines if " s  " in line] == [
        "starting [all]", "one", "two", "three",
    ]  # fmt: skip
    assert "75%" in text
    assert text.endswith("\x1b[2K")


def test_items_are_counted_in_the_log_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        found = list(track_items(iter("abcde"), 5, "round", logging.getLogger("test"), 2))
    assert found == list("abcde")
    assert caplog.messages == ["round 2 of 5", "round 4 of 5", "round 5 of 5"]
