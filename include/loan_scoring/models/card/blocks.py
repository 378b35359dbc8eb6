"""The parts of a card: sections of texts, tables and plots, independent of the output format."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Note:
    """A highlighted paragraph: a quotation, or something that is good or bad."""

    text: str
    tone: Literal["quote", "good", "bad"] = "quote"


@dataclass(frozen=True)
class Table:
    """A table; the columns whose places are in `numbers` are aligned right."""

    head: list[str]
    rows: list[list[str]]
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Plot:
    """A plot as SVG, with a caption that says what it shows."""

    svg: bytes
    caption: str


Block = Text | Heading | Note | Table | Plot


@dataclass(frozen=True)
class Section:
    """A title with its blocks."""

    title: str
    blocks: list[Block]


@dataclass(frozen=True)
class Card:
    """A model card, or another page of the same form."""

    title: str
    lead: str
    sections: list[Section]
