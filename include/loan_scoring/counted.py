"""Write counts, lists of names, and descriptions of texts in messages."""

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


def described(text: str) -> str:
    r"""Return length and kinds of characters of a text of a file, which a message must not quote.

    A cell, and also the first line of a file without a header, may be about a person.

    >>> described("Ann 7"), described("")
    ('5 characters (letters, digits, blanks)', '0 characters')
    >>> described("\u200b-")
    '2 characters (signs, invisible ones)'
    """
    kinds = (
        ("letters", str.isalpha),
        ("digits", str.isdecimal),
        ("blanks", lambda each: each in " \t"),
        ("signs", lambda each: each.isprintable() and not each.isalnum() and each != " "),
        ("invisible ones", lambda each: not each.isprintable() and each != "\t"),
    )
    found = [name for name, is_kind in kinds if any(map(is_kind, text))]
    length = counted(len(text), "character")
    return f"{length} ({', '.join(found)})" if found else length


def named(names: Sequence[str]) -> str:
    """Return names with commas: all if they are few, else the first ones and how many more.

    >>> named(["a", "b"]), named([*"abcdefg"])
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
