"""Parse command-line arguments that are a count or a batch_id, and reject invalid values."""

import argparse
import re
from datetime import date


def count(text: str) -> int:
    """Return a command-line argument as an integer.

    Raises:
        argparse.ArgumentTypeError: the argument is not an integer of 0 or more.
    """
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of 0 or more")
    return int(text)


def batch_id(text: str) -> str:
    """Return a command-line argument unchanged if the argument is a valid batch_id.

    Raises:
        argparse.ArgumentTypeError: the argument is neither `history` nor a valid date in the
            format YYYY-MM-DD.
    """
    if text == "history":
        return text
    try:
        # The pattern is needed because fromisoformat also accepts 20260105 and non-ASCII digits.
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError
        date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither YYYY-MM-DD nor history") from None
    return text
