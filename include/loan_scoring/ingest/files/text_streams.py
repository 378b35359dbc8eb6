"""Turn the bytes of a text file into UTF-8, and runs of blanks into single blanks."""

import codecs
import re
from typing import Protocol

from loan_scoring.errors import SourceError

MARK = codecs.BOM_UTF8
MAX_LINE_BYTES = 16 << 20


class Readable(Protocol):
    """A stream from which bytes can be read."""

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes.

        Fewer bytes are returned only near the end of the stream, and no bytes at its end.
        """
        ...


_ESCAPE = "loan_scoring.escape"
_ESCAPED = re.compile("[\udc00-\udcff]")

BLANKS = re.compile(rb"[ \t]+")
_QUOTED_OR_BLANKS = re.compile(rb'(?<![^ \t\n])"(?:[^"\n]|"")*+"(?=[ \t\r\n]|\Z)|[ \t]+')
_OUTER = re.compile(rb"^ | (?=\r?$)", re.MULTILINE)


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Keep bytes that are no text as half surrogate pairs, U+DC00 to U+DCFF.

    Encoded again they are no UTF-8, so that only the records with such bytes are malformed.
    """
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) for byte in bad), error.end


codecs.register_error(_ESCAPE, _escape)


def escaped_bytes(data: bytes, *, is_decoded: bool = False) -> str:
    r"""Return bytes as text. NUL and bytes that are no text become \x and two hex digits.

    Args:
        data: bytes of a record, which may not be UTF-8.
        is_decoded: whether the bytes come from `InUtf8`.

    >>> escaped_bytes(b"a\xff\0"), escaped_bytes(b"a\xed\xb2\x81", is_decoded=True)
    ('a\\xff\\x00', 'a\\x81')
    """
    if is_decoded:
        kept = data.decode("utf-8", "surrogatepass")
        text = _ESCAPED.sub(lambda each: rf"\x{ord(each[0]) - 0xDC00:02x}", kept)
    else:
        text = data.decode(errors="backslashreplace")
    return text.replace("\0", r"\x00")


class InUtf8:
    """A stream of the bytes of a text in another encoding, as UTF-8.

    Bytes that are not text in the encoding become bytes that are not UTF-8. After the end,
    `is_cut` says whether the text ended within a character.
    """

    def __init__(self, stream: Readable, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(_ESCAPE)
        # Then ASCII bytes are the same in UTF-8, and are passed on without a copy.
        self._keeps_ascii = all(
            bytes([byte]).decode(encoding, "replace") == chr(byte) for byte in range(128)
        )
        self.is_cut = False

    def read(self, size: int, /) -> bytes:
        """Return the next bytes. No bytes are returned only at the end of the stream."""
        while data := self._stream.read(size):
            if self._keeps_ascii and data.isascii() and not self._decoder.getstate()[0]:
                return data
            if found := self._as_utf8(data):
                return found
        self.is_cut = self.is_cut or bool(self._decoder.getstate()[0])
        return self._as_utf8(b"", is_last=True)

    def _as_utf8(self, data: bytes, *, is_last: bool = False) -> bytes:
        return self._decoder.decode(data, is_last).encode("utf-8", "surrogatepass")


class SingleBlanks:
    """A stream of UTF-8 lines in which each run of blanks and tabs is one blank.

    Blanks within quotes stay. Blanks at the beginning and at the end of a line are left out.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream, self._carry = stream, b""

    def read(self, size: int, /) -> bytes:
        """Return the next whole lines. No bytes are returned only at the end of the stream."""
        while True:
            more = self._stream.read(size)
            data, self._carry = self._carry + more, b""
            if more:
                end = data.rfind(b"\n") + 1
                data, self._carry = data[:end], data[end:]
            if len(self._carry) > MAX_LINE_BYTES:  # the reader refuses such a line
                data, self._carry = data + self._carry, b""
            if data or not more:
                return _with_single_blanks(data)


class Prefixed:
    """A stream of which the first bytes were read already."""

    def __init__(self, first: bytes, stream: Readable) -> None:
        self._first, self._stream = first, stream

    def read(self, size: int, /) -> bytes:
        """Return the first bytes, then the next bytes of the stream."""
        first, self._first = self._first, b""
        return first or self._stream.read(size)


def open_text(
    stream: Readable, where: str, *, encoding: str, block_bytes: int
) -> tuple[Readable, str]:
    """Return a stream of text in UTF-8 without byte order mark, and the encoding of the text.

    A byte order mark of UTF-8 shows that the text is UTF-8, whatever the contract declares.

    Raises:
        SourceError: the text is UTF-16, and the contract declares another encoding.
    """
    first, codec = stream.read(block_bytes), codecs.lookup(encoding).name
    if first.startswith(MARK):
        return Prefixed(first.removeprefix(MARK), stream), "utf-8"
    is_wide = codec.startswith(("utf-16", "utf-32"))
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not is_wide:
        raise SourceError(
            f"{where}: the text is UTF-16; declare source.encoding: utf-16 in the contract, or "
            "save it as UTF-8"
        )
    text = Prefixed(first, stream)
    return text if codec in ("utf-8", "utf-8-sig") else InUtf8(text, encoding), encoding


def _with_single_blanks(data: bytes) -> bytes:
    if b'"' in data:
        data = _QUOTED_OR_BLANKS.sub(
            lambda found: found[0] if found[0].startswith(b'"') else b" ", data
        )
    else:
        data = BLANKS.sub(b" ", data)
    return _OUTER.sub(b"", data)
