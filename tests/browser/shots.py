"""Helpers of browser tests: open a page as a user, judge its layout, take a screenshot."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe

LAST = "2026-01-07"
"""The last of the replayed nights, which drifts."""

SIZES = ((1280, 800), (1920, 1080), (390, 844))
THEMES = ("light", "dark")
LOOKS = ((SIZES[0], "light"), (SIZES[0], "dark"), (SIZES[1], "light"), (SIZES[2], "dark"))
"""Sizes and themes in which each page is tried; LOAN_SCORING_SCREENSHOTS asks for all of them."""
if os.environ.get("LOAN_SCORING_SCREENSHOTS"):
    LOOKS = tuple((size, theme) for size in SIZES for theme in THEMES)


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

    def judge(self) -> list[str]:
        """Return what is wrong with the layout of the page that is open.

        At the first size the rules of axe-core are asked too; at the others they find the same.
        """
        found = []
        wider = self.page.evaluate(WIDER)
        if wider > 0:
            found.append(f"the page is {wider} px wider than the window")
        if self.page.viewport_size["width"] == SIZES[0][0]:
            for each in Axe().run(self.page).response["violations"]:
                places = [str(node["target"][0]) for node in each["nodes"]]
                found.append(f"{each['id']}: {each['help']}: {', '.join(places[:5])}")
        return found

    def shoot(self, path: Path) -> None:
        """Save a screenshot of the whole page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path, full_page=True)


WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
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
