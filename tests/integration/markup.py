"""What a page of HTML holds."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Collects what a page holds, and what it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attributes if name in ("src", "href")]


def parsed(page: str) -> Page:
    found = Page()
    found.feed(page)
    return found
