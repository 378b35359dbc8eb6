"""What a page is made of: sections of texts, tables and plots, whatever it is rendered to."""

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
    """A paragraph set apart: a quotation, or what is as it should be and what is not."""

    text: str
    tone: Literal["quote", "good", "bad"] = "quote"


@dataclass(frozen=True)
class Table:
    """A table; columns whose place is in `numbers` are set flush right."""

    head: list[str]
    rows: list[list[str]]
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Plot:
    """A drawing as SVG, and what it shows in words."""

    svg: bytes
    caption: str


Block = Text | Heading | Note | Table | Plot


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: list[Block]


@dataclass(frozen=True)
class Card:
    """A whole card, or another page of its kind."""

    title: str
    lead: str
    sections: list[Section]
