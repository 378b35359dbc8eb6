"""The pages of monitoring in a real Chromium, on a real Airflow with replayed nights."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from browser.shots import LAST, LOOKS

pytestmark = [pytest.mark.browser, pytest.mark.end_to_end, pytest.mark.integration]

P = "p/loan_default"
COLUMN = "kind=data&feature=income_usd_per_month"


def pages(site: Any) -> dict[str, str]:
    """Return the address of each page of monitoring, by the name of its screenshot."""
    (alert,) = site.row("SELECT max(alert_id) FROM alerts")
    return {
        "portfolio": f"{P}/",
        "batches": f"{P}/batches",
        "batch": f"{P}/batches/{LAST}",
        "quality": f"{P}/quality/{LAST}",
        "quality-trend": f"{P}/quality?expectation=row_count",
        "drift": f"{P}/drift?stable=yes",
        "drift-column": f"{P}/drift/column?{COLUMN}",
        "drift-two": f"{P}/drift/two",
        "drift-segments": f"{P}/drift/segments",
        "alerts": f"{P}/alerts",
        "alert": f"{P}/alerts/{alert}",
        "timeline": f"{P}/timeline",
        "operations": f"{P}/operations",
    }


SCRIPT = "<script>document.title='run'</script><b>bold</b>"


@pytest.mark.parametrize(("size", "theme"), LOOKS, ids=str)
def test_every_page_shows_without_a_fault(
    browse: Any, site: Any, pictures: Path, size: tuple[int, int], theme: str
) -> None:
    wrong = {}
    with browse("viewer", size, theme) as seen:
        for name, path in pages(site).items():
            answer = seen.open(path)
            assert answer.status == 200, name
            seen.shoot(pictures / f"{name}-{size[0]}-{theme}.png")
            assert seen.page.evaluate("document.documentElement.dataset.theme") == theme
            wrong[name] = seen.judge()
        assert {name: found for name, found in wrong.items() if found} == {}
        assert seen.faults == []


def test_tables_and_plots_are_saved_as_csv_and_png(browse: Any, site: Any, tmp_path: Path) -> None:
    with browse("viewer") as seen:
        seen.open(f"{P}/drift/column?{COLUMN}")
        saved = {}
        for label in ("table as CSV: By night", "plot's values as CSV: PSI", "plot as PNG: PSI"):
            with seen.page.expect_download() as download:
                seen.page.get_by_role("button", name=f"Save the {label}").first.click()
            path = tmp_path / download.value.suggested_filename
            download.value.save_as(path)
            saved[label] = path
        table, values, picture = saved.values()
        rows = list(csv.reader(table.read_text(encoding="utf-8-sig").splitlines()))
        assert rows[0][:3] == ["Night", "Level", "PSI, corrected"]
        psi = {row[0]: row[2] for row in rows[2:]}
        assert len(psi) == 3
        (stored,) = site.row(
            "SELECT round(effect::numeric, 3)::text FROM drift"
            " JOIN scoring_runs USING (scoring_run_id) WHERE is_current AND test = 'psi'"
            f" AND kind = 'data' AND feature = 'income_usd_per_month' AND batch_id = '{LAST}'"
        )
        assert psi[LAST] == stored
        assert table.name == "loan-default-drift-of-monthly-income-by-night.csv"
        assert LAST in values.read_text()
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size > 5000
        seen.open(f"{P}/batches/{LAST}")
        assert seen.page.locator(".export").count() > 10
        assert seen.page.locator(".export + .export").count() == 0  # each beside its own table
        seen.open(f"{P}/batches")
        with seen.page.expect_download() as download:
            seen.page.get_by_role("button", name="Save the table as CSV").first.click()
        rows = list(csv.reader(Path(download.value.path()).read_text("utf-8-sig").splitlines()))
        received = rows[0].index("Received")
        assert [row[received] for row in rows if row[0] == LAST] == ["1000"]
        assert seen.faults == []


def test_overview_tells_of_the_drifted_night_at_once(browse: Any) -> None:
    with browse("viewer") as seen:
        seen.open(f"{P}/")
        assert "attention" in seen.page.locator(".verdict .sentence").inner_text()
        assert LAST in seen.page.locator(".verdict ul").inner_text()
        seen.page.locator(".verdict li a").first.click()
        seen.page.wait_for_url(re.compile(r"/alerts(/\d+|#alert-\d+)$"))


def test_page_stands_in_the_navigation_of_airflow_and_as_a_tab_of_the_dag(
    browse: Any, site: Any, pictures: Path
) -> None:
    with browse("viewer", theme="dark") as seen:
        page = seen.page
        page.goto(site.url)
        page.get_by_role("link", name="Scoring").first.click()
        frame = page.frame_locator("iframe")
        frame.get_by_role("link", name="Operations").click()
        frame.locator("h1", has_text="Operations").wait_for()
        page.screenshot(path=pictures / "in-airflow.png")
        page.goto(f"{site.url}/dags/loan_default_metrics")
        page.get_by_role("link", name="Portfolio").first.click()
        page.frame_locator("iframe").locator(".verdict").wait_for()
        page.screenshot(path=pictures / "tab-of-a-dag.png")


def test_link_to_a_run_leads_out_of_the_frame(browse: Any, site: Any) -> None:
    with browse("viewer") as seen:
        page = seen.page
        page.goto(f"{site.url}/plugin/loan-scoring/loan-scoring/{P}/batches/{LAST}")
        link = page.frame_locator("iframe").locator("a[data-top]").first
        link.wait_for()
        link.click()
        page.wait_for_url("**/dags/loan_default_*/runs/**")


def test_drift_map_opens_the_batch_by_keyboard(browse: Any) -> None:
    with browse("viewer") as seen:
        seen.open(f"{P}/drift")
        seen.page.locator("td.drifted a, td.attention a").first.focus()
        seen.page.keyboard.press("Enter")
        seen.page.wait_for_url("**/batches/2026-01-0*")
        first = seen.page.locator("details[data-opens] summary").first
        first.focus()
        seen.page.keyboard.press("Enter")
        seen.page.locator("details[open] .main-svg").first.wait_for()


def test_alert_is_acknowledged_under_the_users_name(browse: Any, site: Any) -> None:
    with browse("op") as seen:
        seen.open(f"{P}/alerts")
        alert = seen.page.locator("article.alert:has(button[value=acknowledge])").first
        number = alert.get_attribute("id").removeprefix("alert-")
        alert.get_by_label("Comment").fill(SCRIPT)
        alert.get_by_role("button", name="Acknowledge").click()
        seen.page.wait_for_url(f"**/alerts#alert-{number}")
        assert SCRIPT in seen.page.locator(f"#alert-{number}").inner_text()
        assert "run" not in seen.page.title()
        assert seen.faults == []
    stored = site.row(f"SELECT state, changed_by, comment FROM alerts WHERE alert_id = {number}")
    assert stored == ("acknowledged", "airflow:op", SCRIPT)


def test_name_of_a_level_is_text_in_plots_and_tables(browse: Any, site: Any) -> None:
    run, counts = site.row(
        "SELECT scoring_run_id, counts FROM distributions JOIN scoring_runs USING (scoring_run_id)"
        f" WHERE is_current AND batch_id = '{LAST}' AND feature = 'persona'"
    )
    strange = '<img src=x onerror="document.title=1"><b>x</b><a href="https://example.org">y</a>'
    change = (
        "UPDATE distributions SET counts = %s::jsonb"
        " WHERE scoring_run_id = %s AND feature = 'persona'"
    )
    try:
        largest = max(counts, key=counts.__getitem__)
        site.change(change, json.dumps({**counts, largest: counts[largest] - 50, strange: 50}), run)
        with browse("viewer") as seen:
            seen.open(f"{P}/batches/{LAST}")
            assert strange in seen.page.locator("body").inner_text()
            row = seen.page.locator("tr", has=seen.page.get_by_text("The persona")).first
            row.locator("summary").click()
            row.locator(".main-svg").first.wait_for()
            names = row.locator(".plot").inner_text()
            assert "<img src=x" in names
            assert row.locator(".plot a, .plot img").count() == 0
            assert "1" not in seen.page.title().replace(LAST, "")
            assert seen.faults == []
    finally:
        site.change(change, json.dumps(counts), run)
