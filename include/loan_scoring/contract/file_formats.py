"""Define how files are written: encoding, delimiter, header and sheet."""

import codecs
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, field_validator, model_validator

from loan_scoring.contract.parts import ContractPart, later

Delimiter = Literal["auto", ",", ";", "tab", "|", "blank"]

FORMAT_FIELDS = {"encoding", "delimiter", "header", "ignore_case", "sheet"}
"""The fields that change how a file is read."""

SourceNames = str | list[str] | None
"""The name of a column in a file, or the names of the columns that make a key."""


FORMAT_FIELDS = {"encoding", "delimiter", "header", "ignore_case", "sheet"}
"""The fields of `source` that change how a file is read."""


def _names(value: object) -> object:
    """Return positions as text, so that a column of a file without a header has a name too."""
    if isinstance(value, list):
        names = [_name(each) for each in value]
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(f"{value!r} must name two or more different columns")
        return names
    return None if value is None else _name(value)


def _name(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(
            f"{value!r} is not the name of a column; YAML does not read it as text: put it in "
            "quotes"
        )
    if not value:
        raise ValueError("the name of a column is empty; give its name in the file")
    return value


def is_position(source: str) -> bool:
    """Return whether a source may be the position of a column, from 1."""
    return source.isascii() and source.isdecimal() and source[0] != "0"


SourceName = Annotated[str, BeforeValidator(_name, json_schema_input_type=str | int)]
"""The name of one column in a file, or its position from 1 if the file has no header."""

AnySource = Annotated[
    SourceNames,
    BeforeValidator(_names, json_schema_input_type=str | int | list[str | int] | None),
]
"""A source of a column: one name or position, or for the key a list of them."""


def is_codec(encoding: str) -> str:
    """Return the name of a text codec of Python, and refuse other names."""
    try:
        # Some codecs are not for text, and some cannot read a file piece by piece.
        "a".encode(encoding)
        codecs.getincrementaldecoder(encoding)("backslashreplace").decode(b"a", True)
    except (LookupError, UnicodeError, ValueError, AssertionError, TypeError):
        raise ValueError(
            f"'{encoding}' is not a text codec of Python; use a name such as utf-8, cp1252, "
            "latin-1 or utf-16"
        ) from None
    return encoding


class FileFormat(ContractPart):
    """How the files of a sender are written.

    - `encoding`: name of a text codec of Python.
    - `delimiter`: `auto` finds comma, semicolon, tab and |. `blank` means runs of blanks.
    - `header`: whether the first record has the names of the columns. Without a header, columns are
      named by their position, from 1.
    - `ignore_case`: whether the letter case of the names in the header does not matter.
    - `sheet`: the sheet of an xlsx file. It may be left out if the file has one sheet.
    """

    encoding: str = "utf-8"
    """The encoding of files of text: a codec of Python by name, such as `cp1252`."""
    delimiter: Delimiter = later("auto")
    """`auto` (one of `, ; tab |` is found), or one of them, or `blank`: runs of blanks."""
    header: bool = later(True)
    """Whether the first record has the names of the columns. If not, a column's `source` is its
    position, from 1.
    """
    ignore_case: bool = later(False)
    """Whether the letter case of the names in the header does not matter."""
    sheet: str | None = later(None)
    """The sheet of a workbook with several sheets."""

    @field_validator("encoding")
    @classmethod
    def _is_codec(cls, encoding: str) -> str:
        return is_codec(encoding)

    @model_validator(mode="after")
    def _has_names(self) -> Self:
        if self.ignore_case and not self.header:
            raise ValueError("ignore_case: there are no names without a header; remove it")
        return self

    @property
    def corrected(self) -> "FileFormat":
        """The format of a file of corrected rows: as exported, or as a spreadsheet saved it."""
        is_like_ascii = b"a".decode(self.encoding, "replace") == "a"
        return FileFormat(
            encoding=self.encoding if is_like_ascii else "utf-8", ignore_case=self.ignore_case
        )


class Published(ContractPart):
    """Where data is published."""

    url: str | None = None
    """Where the labelled data is published."""


# In this order of the bases, `url` is the first field, as it is in fingerprints of older models.
class Source(FileFormat, Published):
    """The URL of the portfolio's published labelled data, and how source files are written."""
