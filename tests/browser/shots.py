"""What every browser test does: open a page as a user, watch what it loads, take its picture."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LAST = "2026-01-07"
"""The last of the replayed nights, the drifted one."""

SIZES = ((1280, 800), (1920, 1080))
THEMES = ("light", "dark")


class Watched:
    """A browser's page that is logged in, with what went wrong in it."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.faults: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", self._asked)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _asked(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https") and parts.netloc != urlsplit(self.url).netloc:
            self.faults.append(f"asked another host: {request.url}")

    def open(self, path: str) -> Any:
        """Open a page of the plugin, wait until its plots are drawn, and return the answer."""
        answer = self.page.goto(f"{self.url}/loan-scoring/{path}", wait_until="load")
        self.page.wait_for_function(DRAWN)
        return answer

    def shoot(self, path: Path) -> None:
        """Take the picture of the whole page, as high as it is."""
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
    """Give a page of a new session of the browser, logged in as a user of Airflow.

    A user who is `known` has the cookies of an earlier login; one who is not logs in and is known.
    """
    known = {} if known is None else known
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, storage_state=known.get(user)
    )
    # Airflow keeps its user's choice there.
    context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    try:
        page = context.new_page()
        if user not in known:
            log_in(page, url, user, password)
            known[user] = context.storage_state()
        yield Watched(page, url)
    finally:
        context.close()
