"""Write counts and lists of names in messages."""

from collections.abc import Sequence

MOST_NAMES = 5


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun in the right number.

    Args:
        count: the count.
        noun: noun for a count of 1; words may follow it after a blank if `plural` is given.
        plural: noun for every other count. If None, the noun with an `s`.

    >>> counted(1, "loan"), counted(2000, "loan"), counted(0, "batch", "batches")
    ('1 loan', '2,000 loans', '0 batches')
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def named(names: Sequence[str]) -> str:
    """Return names with commas: all if they are few, else the first ones and how many more.

    >>> named(["a", "b"]), named([*"abcdefg"])
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
