"""The desk and the models in a real Chromium, on a real Airflow with replayed nights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser.shots import LAST, LOOKS
from loan_scoring import contract
from loan_scoring.database.session import Session, open_session
from loan_scoring.models import registry
from loan_scoring.models.fitted import FittedModel
from loan_scoring.models.promotion.decide import apply_verdict, rollback_champions
from loan_scoring.models.registry import KINDS

pytestmark = [pytest.mark.browser, pytest.mark.end_to_end, pytest.mark.integration]

P = "p/loan_default"
SCRIPT = "<script>document.title='run'</script><b>bold</b>"
POST = """async ([to, fields]) => (await fetch(to, {method: "POST",
    body: new URLSearchParams(fields)})).status"""


def waiting(site: Any, decision: str, place: int = 0) -> tuple[int, str]:
    """Return a loan of the last night that is left to a person, and its scoring run."""
    return site.row(
        "SELECT loan_id, scoring_run_id FROM current_scores"
        f" WHERE batch_id = '{LAST}' AND decision = '{decision}'"
        f" ORDER BY loan_id OFFSET {place} LIMIT 1"
    )


def again(session: Session, version: str) -> FittedModel:
    """Return a model on record as if it had been fitted once more."""
    row = registry.model_row(session, version)
    names = ("kind", "parameters", "features", "metrics", "algorithm", "leaks", "evaluation")
    return FittedModel(
        estimator=registry.model_estimator(session, row),
        baseline=row["baseline"],
        **{name: row[name] for name in names},
    )


@pytest.fixture
def second(site: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A second pair of champions, promoted with a comment that is markup."""
    for name in ("LOAN_SCORING_DATA", "LOAN_SCORING_PORTFOLIOS"):
        monkeypatch.setenv(name, site.environment[name])
    with open_session("loan_default", site.database_url) as session:
        first = dict(zip(KINDS, registry.champion_pair(session), strict=True))
        pair = [again(session, version) for version in first.values()]
        made = registry.register_models(session, pair, f"{'again':-<32}", {"batches": []})
        evidence = {"champion": first["propensity"], "challenger": made["propensity"], "gates": []}
        apply_verdict(
            session, made, "promoted", "cli:tests", evidence, occasion="command", comment=SCRIPT
        )
        yield made
        if registry.champion_pair(session) != tuple(first.values()):
            rollback_champions(session, "cli:tests")


@pytest.mark.parametrize(("size", "theme"), LOOKS, ids=str)
def test_every_page_shows_without_a_fault(
    browse: Any, site: Any, second: dict[str, str], pictures: Path, size: tuple[int, int],
    theme: str,
) -> None:  # fmt: skip
    reason = site.row("SELECT max(exclusion_reason) FROM current_scores")[0]
    pages = {
        "desk": f"{P}/desk",
        "desk-all": f"{P}/desk?state=all",
        "desk-bulk": f"{P}/desk?reason={reason}",
        "application": f"{P}/desk/{waiting(site, 'review')[0]}",
        "referred": f"{P}/desk/{waiting(site, 'refer')[0]}",
        "models": f"{P}/models",
        "refusal": f"{P}/batches/2020-01-01",
    }
    wrong = {}
    with browse("admin", size, theme) as seen:
        for name, path in pages.items():
            status = 404 if name == "refusal" else 200
            assert seen.open(path).status == status, name
            seen.shoot(pictures / f"{name}-{size[0]}-{theme}.png")
            assert seen.page.evaluate("document.documentElement.dataset.theme") == theme
            wrong[name] = seen.judge()
            assert "run" not in seen.page.title()
        assert {name: found for name, found in wrong.items() if found} == {}
        assert [each for each in seen.faults if "404" not in each] == []


def test_decision_is_stored_under_the_users_name(browse: Any, site: Any) -> None:
    with browse("op") as seen:
        seen.open(f"{P}/desk?decision=review&state=open")
        link = seen.page.locator("table.queue tbody th a").first
        loan_id = link.inner_text()
        link.focus()
        seen.page.keyboard.press("Enter")
        for key, comment in (("a", SCRIPT), ("d", "seen again")):
            seen.page.get_by_label("Why").fill(comment)
            with seen.page.expect_navigation():
                seen.page.locator(f"button[data-key={key}]").click()
            assert f"/desk/{loan_id}" not in seen.page.url  # the next application follows
            seen.open(f"{P}/desk/{loan_id}")
            assert comment in seen.page.locator("#decisions li").first.inner_text()
        latest = seen.page.locator("#decisions li").first.inner_text()
        assert "replaces the earlier decisions" in latest
        assert "run" not in seen.page.title()
        assert seen.faults == []
    stored = site.row(
        "SELECT array_agg(decision || ' ' || decided_by || ' ' || comment ORDER BY decided_at)"
        f" FROM approvals WHERE loan_id = {loan_id}"
    )
    assert stored == ([f"approve airflow:op {SCRIPT}", "decline airflow:op seen again"],)


def test_decision_without_a_comment_is_not_sent(browse: Any, site: Any) -> None:
    loan_id, _ = waiting(site, "review", 5)
    with browse("op") as seen:
        seen.open(f"{P}/desk/{loan_id}")
        seen.page.locator("button[data-key=a]").click()
        assert seen.page.evaluate("document.activeElement.id") == "comment"
    assert site.row(f"SELECT count(*) FROM approvals WHERE loan_id = {loan_id}") == (0,)


def test_what_if_shows_another_score_and_stores_none(browse: Any, site: Any) -> None:
    loan_id, _ = waiting(site, "review", 1)
    before = site.row("SELECT count(*) FROM scores")
    with browse("op") as seen:
        seen.open(f"{P}/desk/{loan_id}")
        seen.page.get_by_text("Change inputs", exact=True).click()
        form = seen.page.locator("form.what-if")
        field = form.locator("input[inputmode=decimal]").first
        field.fill("?")
        with seen.page.expect_navigation():
            form.get_by_role("button", name="Score").click()
        assert "Not scored" in seen.page.locator(".notice.fault").inner_text()
        field = seen.page.locator("form.what-if input[inputmode=decimal]").first
        field.fill("30000")
        with seen.page.expect_navigation():
            seen.page.locator("form.what-if").get_by_role("button", name="Score").click()
        assert "30,000" in seen.page.locator(".notice.result").inner_text()
        refused = [each for each in seen.faults if "422" not in each]
        assert refused == []
    assert site.row("SELECT count(*) FROM scores") == before
    assert site.row("SELECT called_by, purpose FROM calls ORDER BY called_at DESC LIMIT 1") == (
        "airflow:op",
        "what_if",
    )


def test_smallest_change_is_shown_beside_the_decision(browse: Any, site: Any) -> None:
    loan_id, _ = waiting(site, "review", 2)
    with browse("op") as seen:
        seen.open(f"{P}/desk/{loan_id}")
        with seen.page.expect_navigation():
            seen.page.get_by_role("button", name="Find the smallest change").click()
        told = seen.page.locator("#what-if .result").inner_text()
        assert "the policy approves" in told or "No change of a single input" in told
        assert seen.faults == []


def test_rollback_is_an_admins_and_confirmed(
    browse: Any, site: Any, second: dict[str, str]
) -> None:
    fields = {"comment": "mine", "confirm": "yes", "seen": second["propensity"]}
    with browse("op") as seen:
        seen.open(f"{P}/models")
        assert SCRIPT in seen.page.locator("#history").inner_text()
        assert seen.page.locator("#rollback").count() == 0
        path = f"{site.url}/loan-scoring/{P}/models/rollback"
        assert seen.page.evaluate(POST, [path, fields]) == 403
    with browse("admin") as seen:
        seen.open(f"{P}/models")
        seen.page.locator("#rollback").get_by_label("Why").fill("approves too few")
        button = seen.page.get_by_role("button", name="Roll back")
        button.click()
        assert seen.page.evaluate("document.activeElement.name") == "confirm"
        seen.page.locator("#rollback").get_by_label("Replace").check()
        with seen.page.expect_navigation():
            button.click()
        assert "approves too few" in seen.page.locator("#history").inner_text()
        assert "run" not in seen.page.title()
        assert seen.faults == []
    stored = site.row(
        "SELECT array_agg(DISTINCT decided_by || ' ' || comment) FROM promotions"
        " WHERE occasion = 'rollback' AND decided_by LIKE 'airflow:%'"
    )
    assert stored == (["airflow:admin approves too few"],)


def test_text_of_a_loan_is_text_in_the_table_and_in_the_plot(browse: Any, site: Any) -> None:
    loan_id, _ = waiting(site, "review", 3)
    column = next(c for c in contract.load("loan_default").features if c.open_levels)
    strange = '<img src=x onerror="document.title=1"><b>x</b>'
    (before,) = site.row(f"SELECT {column.name} FROM applications WHERE loan_id = {loan_id}")
    change = f"UPDATE applications SET {column.name} = %s WHERE loan_id = {loan_id}"
    try:
        site.change(change, strange)
        with browse("op") as seen:
            seen.open(f"{P}/desk/{loan_id}")
            assert strange in seen.page.locator("table.inputs").inner_text()
            assert seen.page.locator("main img, main .plot b").count() == 0
            assert "1" not in seen.page.title().replace(str(loan_id), "")
            assert seen.faults == []
    finally:
        site.change(change, before)
