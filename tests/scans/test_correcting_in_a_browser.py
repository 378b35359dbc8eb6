"""A person corrects a scanned page at the desk, in a real Chromium."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.scans.batch import read_scans
from loan_scoring.scans.corrections import read_page
from loan_scoring.scans.layout import form_layout
from loan_scoring.scans.records import scans_folder
from loan_scoring.scans.simulate import as_png, render
from scan_texts import TEXTS

pytestmark = [
    pytest.mark.scans,
    pytest.mark.browser,
    pytest.mark.integration,
    pytest.mark.skipif(
        find_spec("rapidocr_onnxruntime") is None,
        reason="`make test-scans` installs the packages of the extra",
    ),
]

REPOSITORY = Path(__file__).resolve().parents[2]
NIGHT, PASSWORD = "2026-01-05", "otto's"
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
LOOKS_WHOLE = "img => img.complete && img.naturalWidth > 50"


@pytest.fixture
def waiting(empty: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A portfolio with a scanned page of which one number is not a number."""
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path / "data"))
    folder = scans_folder("loan_default", NIGHT)
    folder.mkdir(parents=True)
    layout = form_layout(empty.contract)
    clean = render(layout, TEXTS | {"credit_score": "69X"}, "Courier")
    (folder / "a.png").write_bytes(as_png(clean))
    assert read_scans(empty, NIGHT, "cli:tests").waiting == 1
    return empty


@pytest.fixture
def site(waiting: Session, tmp_path: Path) -> Iterator[str]:
    """The address of Airflow's API server with the plugin."""
    home = tmp_path / "airflow"
    home.mkdir()
    (home / "simple_auth_manager_passwords.json.generated").write_text(
        json.dumps({"otto": PASSWORD})
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    info = waiting.connection.info
    url = f"postgresql://{info.user}:{info.password}@{info.host}:{info.port}/{info.dbname}"
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "otto:op",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests, of 64 bytes or more: " + "0" * 64,
        "AIRFLOW_CONN_LOAN_SCORING": url,
    }
    log = (tmp_path / "server.log").open("w")
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("served.py")), str(port)],
        env=environment, stdout=log, stderr=log,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert server.poll() is None, (tmp_path / "server.log").read_text()[-3000:]
            try:
                urlopen(f"{address}/api/v2/version").close()  # noqa: S310 - an address of ours
                break
            except (URLError, ConnectionError):
                time.sleep(0.5)
        else:
            pytest.fail("the server did not answer within five minutes")
        yield address
    finally:
        server.terminate()
        server.wait(30)
        log.close()


@pytest.fixture
def browser_page(site: str) -> Iterator[Any]:
    """A page of a Chromium in which otto is logged in."""
    from playwright.sync_api import sync_playwright

    named = os.environ.get("LOAN_SCORING_CHROMIUM")
    found = named or shutil.which("chromium") or shutil.which("chromium-browser")
    body = json.dumps({"username": "otto", "password": PASSWORD}).encode()
    asked = Request(  # noqa: S310 - an address of ours
        f"{site}/auth/token", body, {"Content-Type": "application/json"}
    )
    with urlopen(asked) as answer:  # noqa: S310 - an address of ours
        token = json.load(answer)["access_token"]
    with sync_playwright() as playwright:
        if found is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no chromium in PATH, nor Playwright's own, nor LOAN_SCORING_CHROMIUM")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        context = browser.new_context()
        # The server imports what a page needs when it is asked for the first time.
        context.set_default_timeout(120_000)
        context.add_cookies([{"name": "_token", "value": token, "url": site}])
        yield context.new_page()
        browser.close()


def shoot(page: Any, folder: Path, name: str) -> None:
    """Save a screenshot, light and dark, large and small, and judge that nothing is cut off."""
    folder = Path(os.environ.get("LOAN_SCORING_SCREENSHOTS", folder))
    for width, theme in ((1280, "light"), (1280, "dark"), (390, "light")):
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
        assert page.evaluate(WIDER) <= 0, f"{name} is wider than {width} pixels"
        page.screenshot(path=folder / f"{name}-{theme}-{width}.png", full_page=True)


def test_a_doubtful_field_is_seen_on_paper_and_corrected(
    waiting: Session, site: str, browser_page: Any, tmp_path: Path
) -> None:
    faults: list[str] = []
    browser_page.on("pageerror", lambda error: faults.append(str(error)))
    browser_page.on("console", lambda line: faults.append(line.text) if line.type == "error" else 0)
    browser_page.goto(f"{site}/loan-scoring/p/loan_default/desk")
    browser_page.get_by_role("link", name="Scanned forms that wait for a person").click()
    shoot(browser_page, tmp_path, "scans")
    browser_page.get_by_role("row").nth(1).get_by_role("link").click()
    shoot(browser_page, tmp_path, "scan")
    crop = browser_page.get_by_alt_text("Credit score as scanned")
    assert crop.evaluate(LOOKS_WHOLE)
    whole = browser_page.get_by_role("link", name="Whole page").get_attribute("href")
    picture = browser_page.request.get(f"{site}{whole}")
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.body().startswith(b"\xff\xd8")
    field = browser_page.get_by_label("Credit score")
    assert field.input_value().startswith("69")
    record = browser_page.get_by_role("button", name="Record: these are the texts on paper")
    # A text that breaks a rule is not recorded, and stays in the field.
    field.fill("6980")
    record.click()
    assert "Not recorded" in browser_page.get_by_role("alert").inner_text()
    assert field.input_value() == "6980"
    faults = [each for each in faults if "409" not in each]
    field.fill("698")
    record.click()
    assert "is complete" in browser_page.get_by_role("status").inner_text()
    assert "No scanned form waits" in browser_page.content()
    assert faults == []
    (scan,) = database.select_read_only(waiting.connection, "select scan_id from scans")[1][0]
    page = read_page(waiting, scan)
    assert page["state"] == "corrected"
    (made,) = [each for each in page["corrections"] if each["column_name"] == "credit_score"]
    assert (made["after"], made["corrected_by"]) == ("698", "airflow:otto")
    assert read_scans(waiting, NIGHT, "cli:tests").rows == 1
