"""Types of arguments: a count, a batch id."""

import argparse
import re
from datetime import date


def count(text: str) -> int:
    """Return a whole number of 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of 0 or more")
    return int(text)


def batch_id(text: str) -> str:
    """Return the text if it is `history` or a date written as YYYY-MM-DD."""
    if text == "history":
        return text
    try:
        # fromisoformat alone also accepts 20260105, and digits of other scripts.
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError
        date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither YYYY-MM-DD nor history") from None
    return text
