"""Find out where CSV records end, and whether bytes are valid text."""

import re

import numpy as np
import pyarrow as pa

MAX_QUOTED_LINES = 100
"""Maximum number of lines of a quoted value. A quote that opens a longer value is misplaced."""
MAX_QUOTED_BYTES = 1 << 20
"""Maximum number of bytes of a quoted value. A quote that opens a longer value is misplaced."""


def record_pattern(delimiter: str, fields: int) -> re.Pattern[bytes]:
    """Return the pattern of a CSV record with this number of fields, including the line end."""
    field, d = field_pattern(delimiter), re.escape(delimiter).encode()
    return re.compile(rb"(?:%s%s){%d}%s\r?\n" % (field, d, fields - 1, field))


def field_pattern(delimiter: str) -> bytes:
    """Return the pattern of one CSV field, with or without quotes."""
    d = re.escape(delimiter).encode()
    return rb'(?:"(?:[^"]++|"")*+"|(?:[^"%s\r\n][^%s\r\n]*+)?+)' % (d, d)


def record_ends(data: bytes, line_ends: np.ndarray, delimiter: str) -> np.ndarray | None:
    """Return which line ends are outside quotes and therefore end a record.

    Return None if a quote is misplaced: an opening quote is not at the start of a field, a closing
    quote is not at the end of a field, or a quoted value is longer than MAX_QUOTED_LINES or
    MAX_QUOTED_BYTES.

    Args:
        data: bytes that begin at the start of a record.
        line_ends: positions of all LF in `data`.
        delimiter: delimiter of fields.

    Returns:
        Indices into `line_ends`, in ascending order.
    """
    quotes = np.flatnonzero(np.frombuffer(data, np.uint8) == ord('"'))
    if not len(quotes):
        return np.arange(len(line_ends))
    text = np.frombuffer(data, np.uint8)
    before = np.where(quotes[::2] > 0, text[quotes[::2] - 1], ord("\n"))
    closing = quotes[1::2]
    after = np.where(closing + 1 < len(text), text[np.minimum(closing + 1, len(text) - 1)], 10)
    d = ord(delimiter)
    if not (np.isin(before, [d, 10, 34]).all() and np.isin(after, [d, 10, 13, 34]).all()):
        return None
    last = np.flatnonzero(np.searchsorted(quotes, line_ends) % 2 == 0)
    spans = np.diff(last, prepend=-1)
    tail_lines = len(line_ends) - 1 - (last[-1] if len(last) else -1)
    tail_bytes = len(data) - (line_ends[last[-1]] + 1 if len(last) else 0)
    if tail_lines and tail_bytes > MAX_QUOTED_BYTES:
        return None
    return None if max(spans.max(initial=0), tail_lines) > MAX_QUOTED_LINES else last


def plain_lines(data: bytes, line_ends: np.ndarray, delimiter: str, fields: int) -> np.ndarray:
    """Return a mask of the lines that are certainly complete records.

    `record_pattern` would match each of these lines. Such a line is valid text, has CR only before
    its LF, has `fields` fields, and every quote that opens in the line closes in the line.
    """
    text = np.frombuffer(data, np.uint8)[: int(line_ends[-1]) + 1 if len(line_ends) else 0]
    starts = np.concatenate(([0], line_ends[:-1] + 1)) if len(line_ends) else line_ends
    delimiters = np.flatnonzero(text == ord(delimiter))
    quotes = np.flatnonzero(text == ord('"'))
    is_plain = np.ones(len(line_ends), dtype=bool)
    if len(quotes):
        first_quotes = np.searchsorted(quotes, starts)
        line = np.searchsorted(line_ends, quotes)
        is_closing = (np.arange(len(quotes)) - first_quotes[line]) % 2 == 1
        beside = text[np.where(is_closing, quotes + 1, np.maximum(quotes - 1, 0))]
        is_well_placed = np.isin(beside, [ord(delimiter), *b'\n"']) | (quotes == 0)
        is_well_placed |= is_closing & (beside == ord("\r"))
        is_plain[line[~is_well_placed]] = False
        is_plain &= np.diff(first_quotes, append=len(quotes)) % 2 == 0
        line = np.searchsorted(line_ends, delimiters)
        delimiters = delimiters[(np.searchsorted(quotes, delimiters) - first_quotes[line]) % 2 == 0]
    is_plain &= np.diff(np.searchsorted(delimiters, line_ends), prepend=0) == fields - 1
    returns = np.flatnonzero(text == ord("\r"))
    is_plain[np.searchsorted(line_ends, returns[text[returns + 1] != ord("\n")])] = False
    is_plain[np.searchsorted(line_ends, np.flatnonzero(text == 0))] = False
    if not is_text(data, len(text)):
        is_plain[np.searchsorted(line_ends, np.flatnonzero(text >= 0x80))] = False
    begins = text[starts] if len(starts) else text
    is_plain &= (begins != ord("\n")) & (begins != ord("\r"))
    return is_plain


def without_line_ends(data: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the start and the end of each record without its line end, which is LF or CRLF.

    Args:
        data: bytes of the records.
        starts: position of the first byte of each record.
        ends: position of the LF of each record.

    Returns:
        Array of shape (2, records): first the starts, then the ends. An end is the position after
        the last byte of the record.
    """
    if not len(ends):
        return np.empty((2, 0), np.int64)
    text = np.frombuffer(data, np.uint8)
    has_cr = (text[np.maximum(ends - 1, 0)] == ord("\r")) & (ends > starts)
    return np.stack([starts, ends - has_cr])


def is_clean(data: bytes, size: int) -> bool:
    """Return whether the first `size` bytes are UTF-8 text without NUL, with CR only before LF."""
    returns = data.count(b"\r", 0, size)
    if returns and returns != data.count(b"\r\n", 0, size):
        return False
    return is_text(data, size)


def is_text(data: bytes, size: int) -> bool:
    """Return whether Postgres accepts the first `size` bytes as text: UTF-8 without NUL."""
    if data.find(b"\0", 0, size) >= 0:
        return False
    if data.isascii():
        return True
    # Arrow validates UTF-8 in place. Decoding would need up to four times the memory.
    offsets = pa.py_buffer(np.array([0, size], np.int32))
    try:
        pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def ends_in_a_letter(data: bytes) -> bool:
    r"""Return whether UTF-8 text was cut off within its last character.

    >>> ends_in_a_letter(b"M\xc3"), ends_in_a_letter(b"M\xff"), ends_in_a_letter(b"M")
    (True, False, False)
    """
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return False
