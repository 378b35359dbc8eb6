"""Decide which columns of a file are read, and show column names in one line."""

import difflib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loan_scoring.contract import FileFormat
from loan_scoring.errors import MissingColumnsError, SourceError


@dataclass(frozen=True)
class Header:
    """The column names of a file, in order, and the differences from the columns asked for."""

    names: list[str]
    missing: list[str]
    """Optional columns that the file does not have."""
    extra: list[str]
    """Columns of the file that are neither wanted nor optional, as a report shows each of them.

    These columns are not read. A column without a name is shown as `(no name)`, and a name that
    occurs several times has its count behind it.
    """


def choose_columns(
    where: str, names: list[str], wanted: Sequence[str], optional: Sequence[str]
) -> Header:
    """Return the header of a file, and check that the file has all wanted columns once.

    Args:
        where: name of the file, for error messages.
        names: column names of the file.
        wanted: columns that the file must have.
        optional: columns that are read if the file has them.

    Raises:
        SourceError: a wanted or optional name occurs twice, or a wanted column is missing.
    """
    counts, asked = Counter(names), {*wanted, *optional}
    repeated = sorted(name for name in asked if counts[name] > 1)
    if repeated:
        raise SourceError(
            f"{where}: {_columns(repeated)} twice in the header; rename or remove one"
        )
    missing = [name for name in wanted if name not in counts]
    if missing:
        places = {name: place for place, name in enumerate(names, 1) if name not in asked}
        raise MissingColumnsError(
            f"{where}: {_columns(missing)} missing from the header"
            f"{_nearest(missing, places)}; "
            "add what is missing, or change the contract",
            missing,
        )
    extra = Counter(
        escaped_name(name) if name.strip() else "(no name)" for name in names if name not in asked
    )
    return Header(
        names,
        missing=[name for name in optional if name not in counts],
        extra=[f"{name} ({count} times)" if count > 1 else name for name, count in extra.items()],
    )


def contract_names(names: list[str], asked: Sequence[str], file_format: FileFormat) -> list[str]:
    """Return the names of a header as the contract spells them, or positions without a header.

    A column without a name has the name `column N` by its position, from 1, if the contract asks
    for that name and no other column has it.

    Args:
        names: column names of the file.
        asked: column names that the contract asks for.
        file_format: whether the file has a header, and whether letter case matters.

    >>> contract_names(["NR", "Job"], ["nr"], FileFormat(ignore_case=True))
    ['nr', 'Job']
    >>> contract_names(["", "Job", ""], ["column 1"], FileFormat())
    ['column 1', 'Job', '']
    """
    if not file_format.header:
        return [str(place) for place in range(1, len(names) + 1)]
    wanted = {*asked} - {*names}
    names = [
        nameless_column(place) if not name.strip() and nameless_column(place) in wanted else name
        for place, name in enumerate(names, 1)
    ]
    if not file_format.ignore_case:
        return names
    spelt = {name.casefold(): name for name in asked}
    return [spelt.get(name.casefold(), name) for name in names]


def nameless_column(place: int) -> str:
    """Return the `source` by which a contract names a column without a name, such as `column 1`."""
    return f"column {place}"


def readable_columns(names: Sequence[str]) -> list[str]:
    """Return the column names that stand for one column: not empty, and not repeated.

    >>> readable_columns(["Nr", "note", "note", " ", "Income"])
    ['Nr', 'Income']
    """
    counts = Counter(names)
    return [name for name in names if name.strip() and counts[name] == 1]


def escaped_name(name: str, beside: str = "") -> str:
    r"""Return a column name in one line, with invisible characters as escapes such as \u200b.

    Args:
        name: name of a column.
        beside: name for which this one could be mistaken. Letters outside ASCII that this name does
            not have are escaped too, because they may look like its letters.

    >>> escaped_name("two\nlines"), escaped_name("\u200bGröße"), escaped_name("\u039dr", "Nr")
    ('two\\nlines', '\\u200bGröße', '\\u039dr')
    """
    return "".join(
        each
        if each.isprintable() and (each.isascii() or not beside or each in beside)
        else each.encode("unicode_escape").decode()
        for each in name
    )


def _nearest(missing: Sequence[str], places: Mapping[str, int]) -> str:
    """Return which of the other names are spelt most like the missing ones, for an error message.

    Case, spaces and punctuation are ignored. A name that is then the same is quoted. Of any other
    one only its place is named, because the first line of a file without a header is about a
    person. Names that are not similar are left out.

    Args:
        missing: columns that the file lacks.
        places: place of each other name in the header, from 1.
    """
    plain: dict[str, list[str]] = {}
    for other in places:
        plain.setdefault(_plain(other), []).append(other)
    found = [
        f"'{escaped_name(name, beside=other)}'"
        if _plain(name) == _plain(other)
        else f"much alike: column {places[name]}"
        for other in missing
        for close in difflib.get_close_matches(_plain(other), plain, n=2, cutoff=0.5)
        for name in plain[close]
    ]
    return f" (found {', '.join(dict.fromkeys(found))})" if found else ""


def _plain(name: str) -> str:
    name = unicodedata.normalize("NFKD", name).casefold()
    return "".join(each for each in name if each.isalnum())


def _columns(names: list[str]) -> str:
    shown = ", ".join(map(escaped_name, names))
    return f"column{'s' if len(names) > 1 else ''} {shown}"
