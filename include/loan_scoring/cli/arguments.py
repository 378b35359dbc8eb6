"""Parse command-line arguments that are a count or a batch_id, and reject invalid values."""

import argparse

from loan_scoring.contract.business_dates import HISTORY, read_date


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

    Whether the date may be ingested depends on the contract: see `common.session_of`.

    Raises:
        argparse.ArgumentTypeError: the argument is neither `history` nor a valid date in the
            format YYYY-MM-DD.
    """
    if text != HISTORY and read_date(text) is None:
        raise argparse.ArgumentTypeError(f"'{text}' is neither YYYY-MM-DD nor history")
    return text


def month_text(text: str) -> str:
    """Return a command-line argument unchanged if the argument is a month as YYYY-MM.

    Raises:
        argparse.ArgumentTypeError: the argument is no such month.
    """
    if len(text) != 7 or read_date(f"{text}-01") is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a month such as 2026-01")
    return text
