"""Make Great Expectations' page a file that needs nothing from elsewhere.

Its page loads styles, icons and scripts from other hosts, and has links to pages that are not made.
Without them the page has no status, no layout and no filter. So these elements are taken out, and
a style sheet is put in, which also does the filter.
"""

import re
from pathlib import Path

POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
)
"""An HTML element that keeps browsers from loading anything, and from running scripts."""

STYLES = Path(__file__).with_suffix(".css")

_ELSEWHERE = re.compile(
    r"<script\b.*?</script>|<style\b.*?</style>|<link\b[^>]*>|<img\b[^>]*>|<footer\b.*?</footer>"
    r'|<nav class="navbar navbar-expand-md.*?</nav>\s*</div>\s*</nav>|<p>Stay current.*?</p>'
    r'|\son\w+="[^"]*"',
    re.DOTALL,
)
_LINK_AWAY = re.compile(r'<a\b[^>]*href="(?!#)[^"]*"[^>]*>(.*?)</a>', re.DOTALL)


def standalone(page: str, title: str) -> str:
    """Return the page with its own styles only, without scripts and without links to elsewhere.

    Args:
        page: HTML page of Great Expectations.
        title: title of the page. It must have no HTML.
    """
    kept = _LINK_AWAY.sub(r"\1", _ELSEWHERE.sub("", page))
    head = f'<head><meta charset="utf-8">{POLICY}<title>{title}</title>'
    head += f"<style>{STYLES.read_text()}</style></head>"
    _, _, body = kept.partition("</head>")
    return f'<!DOCTYPE html><html lang="en">{head}{body}'
