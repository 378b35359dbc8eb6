"""Define the parts of a card: sections with texts, tables and plots.

The parts do not depend on the output format, so that one card can become Markdown or HTML.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Text:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True)
class Heading:
    """A heading inside a section, one level below the title of the section."""

    text: str


@dataclass(frozen=True)
class Note:
    """A highlighted paragraph. Its `tone` is `quote` for a quotation, or `good` or `bad` news."""

    text: str
    tone: Literal["quote", "good", "bad"] = "quote"


@dataclass(frozen=True)
class Table:
    """A table. `numbers` has the indices of the columns that are aligned right, from 0."""

    head: list[str]
    rows: list[list[str]]
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Plot:
    """A plot as SVG, with a caption that says what the plot shows.

    If `is_wide` is True, the plot takes the whole width of the page.
    """

    svg: bytes
    caption: str
    is_wide: bool = False


Block = Text | Heading | Note | Table | Plot


@dataclass(frozen=True)
class Section:
    """A section of a card: a title and the blocks below it."""

    title: str
    blocks: list[Block]


@dataclass(frozen=True)
class Card:
    """A model card, or another page with the same structure. `lead` is the text below the title."""

    title: str
    lead: str
    sections: list[Section]
