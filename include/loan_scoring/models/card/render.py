"""Render a card as Markdown or as one self-contained HTML page. All text is escaped."""

import base64
import re
from functools import cache
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined

from loan_scoring.models.card.blocks import Block, Card, Heading, Note, Plot, Section, Table, Text

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The Content-Security-Policy of the page.

The browser loads nothing from the network and runs no script, even if a card contained a script.
"""


def render_card_markdown(card: Card) -> str:
    """Return the card as Markdown. A plot becomes its caption, because Markdown has no SVG."""
    lines = [f"# {escape_markdown(card.title)}", "", escape_markdown(card.lead)]
    for section in card.sections:
        lines += ["", f"## {escape_markdown(section.title)}"]
        for block in section.blocks:
            lines += ["", *_markdown(block)]
    return "\n".join(lines) + "\n"


def _markdown(block: Block) -> list[str]:
    if isinstance(block, Text):
        return [escape_markdown(block.text)]
    if isinstance(block, Heading):
        return [f"### {escape_markdown(block.text)}"]
    if isinstance(block, Note):
        return [f"> {escape_markdown(block.text)}"]
    if isinstance(block, Plot):
        return [f"*Drawn on the HTML page: {escape_markdown(block.caption)}*"]
    rules = ["---:" if place in block.numbers else "---" for place in range(len(block.head))]
    head, *rows = (
        "| " + " | ".join(map(escape_markdown, row)) + " |" for row in (block.head, *block.rows)
    )
    return [head, "| " + " | ".join(rules) + " |", *rows]


def escape_markdown(text: str) -> str:
    r"""Return a text on one line, escaped so that Markdown shows each character unchanged.

    >>> escape_markdown("<25 | a_b")
    '\\<25 \\| a\\_b'
    """
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def render_card_html(card: Card, back: tuple[str, str] | None = None) -> str:
    """Return the card as one HTML page that contains its styles and plots.

    Args:
        card: the card.
        back: text and address of a link back, for a card that is shown among other pages.
    """
    sections = [(section.title, _runs(section)) for section in card.sections]
    page = _pages().get_template("page.html")
    return page.render(card=card, sections=sections, policy=POLICY, back=back)


@cache
def _pages() -> Environment:
    pages = Environment(
        loader=PackageLoader("loan_scoring.models.card"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    pages.filters["base64"] = lambda content: base64.b64encode(content).decode()
    return pages


def _runs(section: Section) -> list[tuple[bool, list[tuple[str, Block]]]]:
    """Group the blocks of a section, so that the page can put tables and plots side by side.

    Each item is (is_drawn, blocks), for blocks that follow each other. `is_drawn` is True if the
    blocks are tables and plots, and False if they are text. `blocks` is a list of
    (class name, block).
    """
    return [
        (is_drawn, [(type(block).__name__, block) for block in run])
        for is_drawn, run in groupby(section.blocks, lambda block: isinstance(block, Table | Plot))
    ]
