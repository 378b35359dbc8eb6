"""Make the keys of rows: from one column, from several, or from the row itself."""

import hashlib
import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import KEY, Column
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.numbers import has_exponent, without_nulls

SEPARATOR = ":"
"""What stands between the parts of a key of several columns, and between a file and a line."""

_ESCAPABLE = re.compile(r"[\\:]")
_PART = re.compile(r"((?:[^\\:]|\\[\\:])+)")
_HEX_OF_UUID = "^(.{8})(.{4})(.{4})(.{4})(.{12})$"


def key_columns(key: Column) -> list[str]:
    """Return the columns with the key in a file that is not the delivered file of applications.

    Files of outcomes and of corrected rows name a key that was made from the row in a column
    `loan_id`, because they do not have the row as it was delivered.
    """
    return key.sources or [KEY]


def key_text(key: Column, block: Block) -> pa.Array:
    """Return the keys of a block as text. A key with a null part is empty.

    A key that is made from the row is made, unless the block has a column `loan_id`.
    """
    if key.made_from and KEY not in block.table.column_names:
        return _made_keys(key, block)
    parts = [block.table.column(name).combine_chunks() for name in key_columns(key)]
    return joined_keys(key, parts) if len(parts) > 1 else parts[0]


def joined_keys(key: Column, parts: Sequence[pa.Array]) -> pa.Array:
    r"""Return the parts of keys joined by `:`. Two different lists of parts never give one key.

    A `:` or `\` within a part gets a `\` before it. Blanks around a part do not count. A key is
    empty if a part is null, and has the part itself if a spreadsheet program shortened the part.

    >>> key = Column(source=["nr", "sub"], name="loan_id", label="Nr", type="text",
    ...              known="application")
    >>> joined_keys(key, [pa.array(["1", "a:b", "3"]), pa.array([" 2", "c", ""])]).to_pylist()
    ['1:2', 'a\\:b:c', '']
    """
    texts = [without_nulls(pc.utf8_trim_whitespace(part), key) for part in parts]
    escaped = [pc.replace_substring_regex(text, r"([\\:])", r"\\\1") for text in texts]
    joined = pc.binary_join_element_wise(*escaped, SEPARATOR).fill_null("")
    for text in texts:
        if (written := has_exponent(key, text.fill_null(""))) is not None:
            joined = pc.if_else(pa.array(written), text, joined)
    return joined


def key_parts(joined: str, count: int) -> list[str] | None:
    r"""Return the parts of a joined key, or None if it has not so many parts.

    >>> key_parts(r"a\:b:c", 2), key_parts("a:b:c", 2)
    (['a:b', 'c'], None)
    """
    pieces = _PART.findall(joined)
    if len(pieces) != count or SEPARATOR.join(pieces) != joined:
        return None
    return [re.sub(r"\\(.)", r"\1", piece) for piece in pieces]


def made_key(key: Column, raw_text: str, file: str, line: int) -> str:
    """Return the key that is made from one row: its text, or its file and line in the file."""
    if key.made_from == "line":
        return f"{file}{SEPARATOR}{line}"
    digits = _digits(raw_text.encode())
    return str(pc.replace_substring_regex(pa.scalar(digits), _HEX_OF_UUID, _GROUPED))


_GROUPED = r"\1-\2-\3-\4-\5"


def _made_keys(key: Column, block: Block) -> pa.Array:
    if key.made_from == "line":
        lines = block.line_numbers - (block.place.first_line - 1)
        return pa.array([f"{block.place.name}{SEPARATOR}{line}" for line in lines.tolist()])
    digits = pa.array([_digits(record) for record in block.raw_bytes()], pa.string())
    return pc.replace_substring_regex(digits, _HEX_OF_UUID, _GROUPED)


def _digits(record: bytes) -> str:
    """Return the first 128 bits of the SHA-256 of a record, which is enough for a UUID."""
    return hashlib.sha256(record).hexdigest()[:32]
