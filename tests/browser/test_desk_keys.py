"""The queue of the desk by keyboard alone, in a real Chromium, on a real Airflow."""

from typing import Any

import pytest

from browser.shots import LAST

pytestmark = [pytest.mark.browser, pytest.mark.end_to_end, pytest.mark.integration]

P = "p/loan_default"
APPLICATIONS = 20


class Keys:
    """Keys that a person presses on a page, counted. The text of a comment is counted apart."""

    def __init__(self, seen: Any) -> None:
        self.page = seen.page
        self.pressed = 0
        self.comments = 0

    def press(self, key: str, *, goes_on: bool = False) -> None:
        self.pressed += 1
        if not goes_on:
            self.page.keyboard.press(key)
            return
        with self.page.expect_navigation():
            self.page.keyboard.press(key)

    def comment(self, text: str) -> None:
        self.comments += 1
        self.page.keyboard.type(text)

    @property
    def loan(self) -> int:
        return int(self.page.url.partition("?")[0].rpartition("/")[2])


def count(site: Any, what: str) -> int:
    return site.row(f"SELECT count(*) FROM {what}")[0]


def open_loans(site: Any, number: int) -> list[int]:
    """Return loans of the last night that nobody worked on, the least likely default first.

    One person may decide them.
    """
    return site.row(
        "SELECT array_agg(loan_id::bigint) FROM (SELECT loan_id FROM current_scores JOIN"
        " current_applications USING (batch_id, loan_id)"
        f" WHERE batch_id = '{LAST}' AND decision = 'review' AND loan_amount_usd < 1000000"
        " AND loan_id NOT IN (SELECT loan_id FROM approvals UNION SELECT loan_id FROM claims)"
        f" ORDER BY default_probability, loan_id LIMIT {number}) AS x"
    )[0]


def test_twenty_applications_are_decided_with_two_keys_and_a_comment_each(
    browse: Any, site: Any
) -> None:
    decisions = ["a", "d", "a", "w", "d"] * (APPLICATIONS // 5)
    before = count(site, "approvals")
    decided = []
    with browse("op") as seen:
        seen.open(f"{P}/desk?decision=review&sort=loan_amount_usd")
        keys = Keys(seen)
        keys.press("s", goes_on=True)
        start, total = keys.page.locator(".place").inner_text().split(" of ")
        keys.pressed = 0
        for number, key in enumerate(decisions):
            decided.append(keys.loan)
            place = keys.page.locator(".place").inner_text().split(" of ")
            assert place[1] == total
            assert int(place[0]) >= int(start) + number
            keys.press(key)
            keys.comment(f"reason {number}")
            keys.press("Enter", goes_on=True)
            toast = keys.page.locator("[data-toast]").inner_text()
            assert f"Loan {decided[-1]}" in toast
            assert "sort=loan_amount_usd" in keys.page.url
            assert "decision=review" in keys.page.url
        assert keys.page.evaluate("document.activeElement.tagName") == "BODY"
        assert seen.faults == []
    assert (keys.pressed, keys.comments) == (2 * APPLICATIONS, APPLICATIONS)
    assert len(set(decided)) == APPLICATIONS
    assert count(site, "approvals") == before + APPLICATIONS
    words = {"a": "approve", "d": "decline", "w": "documents"}
    for number, (loan_id, key) in enumerate(zip(decided, decisions, strict=True)):
        assert site.row(
            f"SELECT decision, comment, decided_by FROM approvals WHERE loan_id = {loan_id}"
        ) == (words[key], f"reason {number}", "airflow:op")
    amounts = site.row(
        "SELECT array_agg(loan_amount_usd ORDER BY array_position(ARRAY"
        f"{decided}::bigint[], loan_id::bigint)) FROM current_applications"
        f" WHERE loan_id = ANY (ARRAY{decided}::bigint[])"
    )[0]
    assert amounts == sorted(amounts, reverse=True)


def test_key_undoes_and_a_standard_reason_needs_no_comment(browse: Any, site: Any) -> None:
    loan_id, skipped = open_loans(site, 2)
    with browse("op") as seen:
        seen.open(f"{P}/desk/{loan_id}?state=open")
        keys = Keys(seen)
        keys.press("1")
        keys.press("a")
        keys.press("Enter", goes_on=True)
        assert keys.loan != loan_id
        keys.press("u", goes_on=True)
        assert keys.loan == loan_id
        assert "taken back" in keys.page.get_by_role("status").first.inner_text()
        assert "Nobody has decided yet" in keys.page.locator("#decisions").inner_text()
        seen.open(f"{P}/desk/{skipped}")
        keys.press("n", goes_on=True)
        assert keys.loan != skipped
        keys.press("q", goes_on=True)
        keys.press("/")
        keys.comment(str(skipped))
        keys.press("Enter", goes_on=True)
        links = keys.page.locator("table.queue tbody th a")
        assert links.all_inner_texts() == [str(skipped)]
        seen.open(f"{P}/desk/{loan_id}")
        keys.page.get_by_label("Keys on").uncheck()
        keys.page.locator("h1").click()
        keys.press("a")
        assert keys.page.evaluate("document.activeElement.id") != "comment"
        keys.page.get_by_label("Keys on").check()
        assert seen.faults == []
    stored = site.row(
        "SELECT array_agg(decision || ' ' || comment ORDER BY approval_id) FROM approvals"
        f" WHERE loan_id = {loan_id}"
    )
    assert stored == (["approve The income is confirmed on paper", "undo undone"],)
    assert count(site, f"person_decisions WHERE loan_id = {loan_id}") == 0


def test_second_person_confirms_and_the_first_cannot(browse: Any, site: Any) -> None:
    (loan_id,) = open_loans(site, 1)
    site.change(f"UPDATE applications SET loan_amount_usd = 2000000 WHERE loan_id = {loan_id}")
    with browse("op") as seen:
        seen.open(f"{P}/desk/{loan_id}")
        keys = Keys(seen)
        assert "a second person must confirm" in keys.page.locator("#decisions").inner_text()
        for comment in ("good", "still good"):
            seen.open(f"{P}/desk/{loan_id}")
            keys.press("a")
            keys.comment(comment)
            keys.press("Enter", goes_on=True)
        assert "another person must confirm" in keys.page.locator("main").inner_text()
        assert count(site, f"person_decisions WHERE loan_id = {loan_id}") == 0
        assert [each for each in seen.faults if "409" not in each] == []
    with browse("admin") as seen:
        seen.open(f"{P}/desk?state=second")
        assert str(loan_id) in keys_of(seen)
        seen.open(f"{P}/desk/{loan_id}")
        assert "airflow:op decided first" in seen.page.locator("#decisions").inner_text()
        keys = Keys(seen)
        keys.press("a")
        keys.comment("I agree")
        keys.press("Enter", goes_on=True)
        assert "as the second person" in keys.page.locator("[data-toast]").inner_text()
        assert seen.faults == []
    assert count(site, f"person_decisions WHERE loan_id = {loan_id} AND decision = 'approve'") == 1


def keys_of(seen: Any) -> list[str]:
    return seen.page.locator("table.queue tbody th a").all_inner_texts()


def test_of_two_with_the_same_page_one_claims(browse: Any, site: Any) -> None:
    (loan_id,) = open_loans(site, 1)
    with browse("op") as first, browse("admin") as second:
        for seen in (first, second):
            seen.open(f"{P}/desk/{loan_id}")
        Keys(first).press("c", goes_on=True)
        assert "Claimed by you" in first.page.locator("#decisions").inner_text()
        Keys(second).press("c", goes_on=True)
        assert "claimed by airflow:op" in second.page.locator("main").inner_text()
        second.open(f"{P}/desk/{loan_id}")
        assert "Take over" in second.page.locator("#decisions").inner_text()
        first.open(f"{P}/desk?state=mine")
        assert str(loan_id) in keys_of(first)


def test_referrals_of_one_reason_are_decided_at_once(browse: Any, site: Any) -> None:
    reason, number = site.row(
        "SELECT exclusion_reason, count(*) FROM current_scores"
        f" WHERE batch_id = '{LAST}' AND decision = 'refer' AND loan_id NOT IN"
        " (SELECT loan_id FROM approvals) GROUP BY 1 ORDER BY 2 DESC LIMIT 1"
    )
    with browse("op") as seen:
        seen.open(f"{P}/desk?reason={reason}")
        seen.page.locator("details.bulk summary").click()
        seen.page.locator("#bulk-comment").fill("no value")
        seen.page.locator("details.bulk input[name=confirm]").check()
        with seen.page.expect_navigation():
            seen.page.get_by_role("button", name="Decline all").click()
        assert f"{number} applications are recorded" in seen.page.locator("main").inner_text()
        assert seen.faults == []
    assert count(site, "approvals WHERE comment = 'no value'") == number


def test_appeal_is_the_right_of_an_admin(browse: Any, site: Any) -> None:
    (loan_id,) = site.row(
        "SELECT min(loan_id) FROM current_scores"
        " JOIN current_applications USING (batch_id, loan_id)"
        f" WHERE batch_id = '{LAST}' AND decision = 'decline' AND loan_amount_usd < 1000000"
    )
    post = """async ([to, fields]) => (await fetch(to, {method: "POST",
        body: new URLSearchParams(fields)})).status"""
    run = site.row(f"SELECT scoring_run_id FROM current_scores WHERE loan_id = {loan_id}")[0]
    fields = {"decision": "approve", "comment": "x", "scoring_run_id": run}
    with browse("op") as seen:
        seen.open(f"{P}/desk/{loan_id}")
        assert seen.page.locator("form.decide").count() == 0
        path = f"{site.url}/loan-scoring/{P}/desk/{loan_id}"
        assert seen.page.evaluate(post, [f"{path}/appeal", fields]) == 403
        assert seen.page.evaluate(post, [f"{path}/decision", fields]) == 409
    with browse("admin") as seen:
        seen.open(f"{P}/desk/{loan_id}")
        keys = Keys(seen)
        keys.press("a")
        keys.comment("the bureau erred")
        keys.press("Enter", goes_on=True)
        assert "on appeal" in seen.page.locator("#decisions").inner_text()
    assert count(site, f"person_decisions WHERE loan_id = {loan_id}") == 1
