"""A card as Markdown and as one self-contained HTML page; what it holds is data, and escaped."""

import base64
import html
import re
from itertools import groupby

from loan_scoring.models.card.blocks import Block, Card, Heading, Note, Plot, Table, Text

STYLE = """
:root { color-scheme: light dark; --ink: #1d2127; --paper: #fff; --quiet: #57606a;
  --line: #e1e4e8; --box: #f5f7f9; --quote: #2b6ca3; --good: #1a7f4b; --bad: #b3361b }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e2e5e9; --paper: #14171b; --quiet: #9aa3ad; --line: #2f353c;
    --box: #1d2126; --quote: #6fb0e6; --good: #4fc48a; --bad: #f08a6c }
  /* Lightness turned over and hues kept: one drawing for both. */
  figure img { filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen }
}
* { box-sizing: border-box }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .3rem }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .7rem; padding-top: .7rem;
  border-top: 1px solid var(--line) }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem }
p { margin: .6rem 0; max-width: 46rem; overflow-wrap: anywhere }
.lead { color: var(--quiet); margin-bottom: 0 }
.note { padding: .55rem .9rem; background: var(--box); border-left: 4px solid var(--quote) }
.note.good { border-color: var(--good) }
.note.bad { border-color: var(--bad) }
.wide { overflow-x: auto; margin: .8rem 0 }
table { border-collapse: collapse; font-size: .92rem }
th, td { text-align: left; vertical-align: top; padding: .34rem .9rem .34rem 0;
  border-bottom: 1px solid var(--line) }
th { color: var(--quiet); font-weight: 600; white-space: nowrap }
td { min-width: 4.2rem }
td.number { min-width: 0 }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.beside { display: grid; gap: 1rem 2rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)) }
figure { margin: 0 }
figure img { width: 100%; max-width: 35rem; height: auto; display: block }
figcaption { color: var(--quiet); font-size: .88rem; max-width: 33rem }
"""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The page loads and runs nothing, whatever a name in it says."""


def render_card_markdown(card: Card) -> str:
    """Return the card as Markdown; a plot is told by its caption, its numbers are in tables."""
    lines = [f"# {_plain(card.title)}", "", _plain(card.lead)]
    for section in card.sections:
        lines += ["", f"## {_plain(section.title)}"]
        for block in section.blocks:
            lines += ["", *_markdown(block)]
    return "\n".join(lines) + "\n"


def _markdown(block: Block) -> list[str]:
    if isinstance(block, Text):
        return [_plain(block.text)]
    if isinstance(block, Heading):
        return [f"### {_plain(block.text)}"]
    if isinstance(block, Note):
        return [f"> {_plain(block.text)}"]
    if isinstance(block, Plot):
        return [f"*Drawn on the HTML page: {_plain(block.caption)}*"]
    rules = ["---:" if place in block.numbers else "---" for place in range(len(block.head))]
    return ["| " + " | ".join(map(_plain, row)) + " |" for row in (block.head,)] + [
        "| " + " | ".join(rules) + " |",
        *("| " + " | ".join(map(_plain, row)) + " |" for row in block.rows),
    ]


def _plain(text: str) -> str:
    r"""Return text that Markdown shows as it stands, on one line.

    >>> _plain("<25 | a_b")
    '\\<25 \\| a\\_b'
    """
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def render_card_html(card: Card) -> str:
    """Return the card as one HTML page that needs no other file."""
    title, lead = html.escape(card.title), html.escape(card.lead)
    body = [f"<h1>{title}</h1>", f'<p class="lead">{lead}</p>']
    for section in card.sections:
        body.append(f"<section><h2>{html.escape(section.title)}</h2>")
        for is_drawn, run in groupby(section.blocks, lambda block: isinstance(block, Table | Plot)):
            made = "".join(map(_html, run))
            body.append(f'<div class="beside">{made}</div>' if is_drawn else made)
        body.append("</section>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>"
        + "\n".join(body)
        + "</body></html>\n"
    )


def _html(block: Block) -> str:
    if isinstance(block, Text):
        return f"<p>{html.escape(block.text)}</p>"
    if isinstance(block, Heading):
        return f"<h3>{html.escape(block.text)}</h3>"
    if isinstance(block, Note):
        return f'<p class="note {block.tone}">{html.escape(block.text)}</p>'
    if isinstance(block, Plot):
        caption = html.escape(block.caption)
        source = base64.b64encode(block.svg).decode()
        return (
            f'<figure><img alt="{caption}" src="data:image/svg+xml;base64,{source}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    return _table(block)


def _table(block: Table) -> str:
    def row(cells: list[str], tag: str) -> str:
        made = [
            f"<{tag}{' class=number' if place in block.numbers else ''}>{html.escape(cell)}</{tag}>"
            for place, cell in enumerate(cells)
        ]
        return f"<tr>{''.join(made)}</tr>"

    rows = "".join(row(cells, "td") for cells in block.rows)
    head = row(block.head, "th")
    return f'<div class="wide"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
