"""Write a count with its noun in messages."""


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
