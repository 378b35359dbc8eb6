"""What a card is made of: sections of texts, tables and plots, whatever it is rendered to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


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


Block = Text | Table | Plot


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: list[Block]


@dataclass(frozen=True)
class Card:
    """A whole card."""

    title: str
    lead: str
    sections: list[Section]
