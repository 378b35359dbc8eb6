"""Parse and check command-line arguments: a count and a batch_id."""

import argparse
import re
from datetime import date


def count(text: str) -> int:
    """Return the text as an integer of 0 or more.

    Raises:
        argparse.ArgumentTypeError: the text is not such an integer.
    """
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of 0 or more")
    return int(text)


def batch_id(text: str) -> str:
    """Return the text unchanged if it is `history` or a valid date in the format YYYY-MM-DD.

    Raises:
        argparse.ArgumentTypeError: the text is neither `history` nor such a date.
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
