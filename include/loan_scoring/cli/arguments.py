"""Parse and check command-line arguments: a count and a batch_id."""

import argparse

from loan_scoring.contract.business_dates import HISTORY, read_date


def count(text: str) -> int:
    """Return the text as an integer of 0 or more.

    Raises:
        argparse.ArgumentTypeError: the text is not such an integer.
    """
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of 0 or more")
    return int(text)


def batch_id(text: str) -> str:
    """Return the text unchanged if it is `history` or a date of the calendar.

    Whether the date may be ingested depends on the contract: see `common.session_of`.

    Raises:
        argparse.ArgumentTypeError: the text is neither `history` nor such a date.
    """
    if text != HISTORY and read_date(text) is None:
        raise argparse.ArgumentTypeError(f"'{text}' is neither YYYY-MM-DD nor history")
    return text
