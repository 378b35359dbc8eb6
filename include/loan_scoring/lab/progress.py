"""Show how far long work has come: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import TextIO

_WIDTH = 30


class Progress:
    """Steps done out of a known number, each told once, with the seconds since the start."""

    def __init__(self, total: int, out: TextIO = sys.stdout) -> None:
        self._total = total
        self._out = out
        self._is_terminal = out.isatty()
        self._done: list[str] = []
        self._started = time.monotonic()

    def reach(self, steps: list[str]) -> bool:
        """Tell the steps that are new among all that are done; return whether there are any."""
        new = [step for step in steps if step not in self._done]
        self._done += new
        for step in new:
            self._line(step)
        return bool(new)

    def say(self, text: str) -> None:
        """Tell something that is no step."""
        self._line(text)

    def close(self) -> None:
        """End the bar."""
        if self._is_terminal:
            self._out.write("\r\033[K")
            self._out.flush()

    def _line(self, text: str) -> None:
        seconds = time.monotonic() - self._started
        share = len(self._done) / self._total if self._total else 1.0
        if self._is_terminal:
            filled = round(_WIDTH * share)
            bar = "#" * filled + "." * (_WIDTH - filled)
            self._out.write(f"\r\033[K{seconds:6.1f} s  {text}\n[{bar}] {share:4.0%}")
        else:
            self._out.write(f"{seconds:6.1f} s  {share:4.0%}  {text}\n")
        self._out.flush()
