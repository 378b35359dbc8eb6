"""Show the progress of long work, as a bar on a terminal and as plain lines otherwise."""

import logging
import sys
import time
from collections.abc import Iterator
from typing import TextIO, TypeVar

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn
from rich.progress import Progress as Bar

Item = TypeVar("Item")


class Progress:
    """Report the steps of a job, each step once, with the seconds since the start."""

    def __init__(self, total: int, out: TextIO = sys.stdout) -> None:
        self._total = total
        self._out = out
        self._done: list[str] = []
        self._started = time.monotonic()
        self._bar = _bar(out)
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def reach(self, steps: list[str]) -> bool:
        """Print each step that was not printed before. Return whether any step was printed."""
        new = [step for step in steps if step not in self._done]
        self._done += new
        for step in new:
            self.say(step)
        return bool(new)

    def say(self, text: str) -> None:
        """Print a line of text with the seconds since the start."""
        seconds = time.monotonic() - self._started
        if self._bar.disable:
            share = len(self._done) / self._total if self._total else 1.0
            self._out.write(f"{seconds:6.1f} s  {share:4.0%}  {text}\n")
            self._out.flush()
        else:
            line = f"{seconds:6.1f} s  {text}"
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
            self._bar.update(self._task, completed=len(self._done), refresh=True)

    def close(self) -> None:
        """Stop the progress bar and remove the bar from the terminal."""
        self._bar.stop()


def track_items(
    items: Iterator[Item], total: int, name: str, log: logging.Logger, every: int
) -> Iterator[Item]:
    """Yield the items, and show how many of all items were yielded.

    On a terminal the progress is shown as a bar. Otherwise a line is logged each time that `every`
    more items are done, and after the last item.
    """
    bar = _bar(sys.stderr)
    with bar:
        task = bar.add_task("", total=total)
        for number, item in enumerate(items, 1):
            bar.update(task, completed=number, refresh=True)
            if bar.disable and (number % every == 0 or number == total):
                log.info("%s %d of %d", name, number, total)
            yield item


def _bar(out: TextIO) -> Bar:
    # auto_refresh is off, because a thread that redraws the bar would take CPU time from the worker
    # processes.
    return Bar(
        BarColumn(),
        TaskProgressColumn(),
        console=Console(file=out),
        auto_refresh=False,
        transient=True,
        disable=not out.isatty(),
    )
