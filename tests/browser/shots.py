"""Helpers of browser tests: open a page as a user, record faults, take a screenshot."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LAST = "2026-01-07"
"""The last of the replayed nights, which drifts."""

SIZES = ((1280, 800), (1920, 1080))
THEMES = ("light", "dark")


class Watched:
    """A logged-in browser page that records its errors, warnings and foreign requests."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.faults: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", self._on_request)

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _on_request(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https") and parts.netloc != urlsplit(self.url).netloc:
            self.faults.append(f"request to another host: {request.url}")

    def open(self, path: str) -> Any:
        """Open a page of the plugin, wait until its plots are drawn, return the answer."""
        answer = self.page.goto(f"{self.url}/loan-scoring/{path}", wait_until="load")
        self.page.wait_for_function(DRAWN)
        return answer

    def shoot(self, path: Path) -> None:
        """Save a screenshot of the whole page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path, full_page=True)


DRAWN = """() => [...document.querySelectorAll("figure[data-plot]")]
    .filter((each) => !each.closest("details:not([open])"))
    .every((each) => each.querySelector(".main-svg"))"""


def log_in(page: Any, url: str, user: str, password: str) -> None:
    """Log in to Airflow by its own form."""
    page.goto(f"{url}/auth/login")
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda at: "/auth/login" not in at)


@contextmanager
def browsing(
    browser: Any,
    url: str,
    user: str,
    password: str,
    size: tuple[int, int] = SIZES[0],
    theme: str = "light",
    known: dict[str, Any] | None = None,
) -> Iterator[Watched]:
    """Give a page of a new browser session, logged in as a user of Airflow.

    `known` keeps the cookies of each user's first login for later sessions.
    """
    known = {} if known is None else known
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, storage_state=known.get(user)
    )
    # Airflow stores its user's theme there.
    context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    try:
        page = context.new_page()
        if user not in known:
            log_in(page, url, user, password)
            known[user] = context.storage_state()
        yield Watched(page, url)
    finally:
        context.close()
