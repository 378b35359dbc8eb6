"""The desk and the models page on real Postgres through Airflow's API server."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.models.promotion.decide import promote_by_hand

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

Token = Callable[[str], dict[str, str]]
P = "/loan-scoring/p/loan_default"
NIGHT = "2026-01-05"
SCRIPT = "<script>alert(1)</script>"


def column(session: Session, query: str) -> list:
    return [row[0] for row in database.select_read_only(session.connection, query)[1]]


def loan(session: Session, decision: str) -> int:
    query = f"select loan_id from current_scores where decision = '{decision}' order by 1 limit 1"
    return column(session, query)[0]


def form_of(session: Session, **values: str) -> dict[str, str]:
    (run,) = column(session, "select scoring_run_id from scoring_runs where is_current")
    return {"scoring_run_id": run, "decision": "approve", "comment": "seen on paper"} | values


def text(answer: Any) -> str:
    """Return the text of a page, without its markup."""
    return html.unescape(re.sub(r"<[^>]+>", " ", answer.text))


def test_queue_pages_hold_every_application_to_decide_once(
    client: Any, token: Token, night: Session
) -> None:
    seen, found, address = token("viewer"), [], f"{P}/desk"
    while address:
        shown = client.get(address, headers=seen)
        assert shown.status_code == 200
        found += [
            int(each)
            for each in re.findall(r'<th scope="row"><a href="[^"]+/desk/(\d+)', shown.text)
        ]
        follows = re.search(r'rel="next" href="([^"]+)"', shown.text)
        address = follows and html.unescape(follows[1])
    assert found == column(
        night,
        "select loan_id from current_scores where decision in ('review', 'refer')"
        " order by default_probability desc nulls last, loan_id",
    )


def test_first_page_keeps_the_filter(client: Any, token: Token, night: Session) -> None:
    shown = client.get(
        f"{P}/desk?low=5&state=all&sort=loss&after=0.9/1", headers=token("viewer")
    ).text
    (first,) = re.findall(r'rel="first" href="[^"?]+\?([^"]+)"', shown)
    assert html.unescape(first) == f"batch={NIGHT}&state=all&low=5&sort=loss"


def test_huge_loan_id_is_not_found(client: Any, token: Token, night: Session) -> None:
    answer = client.get(f"{P}/desk/{'9' * 5000}", headers=token("viewer"))
    assert answer.status_code == 404


def test_wrong_filter_is_named(client: Any, token: Token, night: Session) -> None:
    seen = token("viewer")
    for query in (
        "low=much", "low=nan", "high=101", "decision=decline", "batch=soon", "after=x",
        "after=nan/1", "persona=%00", "state=maybe", "order=up",
    ):  # fmt: skip
        answer = client.get(f"{P}/desk?{query}", headers=seen)
        name = query.partition("=")[0]
        assert (answer.status_code, f"{name}: " in text(answer)) == (422, True), query
    empty = "batch=&decision=&persona=&reason=&low=&high=&state=&loan=&sort=&order=&after="
    assert client.get(f"{P}/desk?{empty}", headers=seen).status_code == 200
    assert client.get(f"{P}/desk?batch=2020-01-01", headers=seen).status_code == 404
    assert "matches the filter" in text(client.get(f"{P}/desk?reason=none", headers=seen))


@pytest.mark.attack
def test_decision_is_recorded_under_the_users_name(
    client: Any, token: Token, night: Session
) -> None:
    key = loan(night, "review")
    path = f"{P}/desk/{key}"
    for role, decision in (("user", "approve"), ("op", "decline")):
        page = client.get(path, headers=token(role)).text
        (seen,) = re.findall(r'name="seen" value="([^"]*)"', page)
        form = form_of(night, decision=decision, comment=f"{SCRIPT} by {role}", seen=seen)
        answer = client.post(
            f"{P}/desk/{key}/decision",
            data=form,
            headers=token(role),
            follow_redirects=False,
        )
        (done,) = column(night, "select max(approval_id) from approvals")
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            f"{P}/desk/{key}?done={done}#decisions",
        )
        twice = client.post(f"{path}/decision", data=form, headers=token(role))
        assert twice.status_code == 409
        assert f"decided meanwhile by airflow:a {role}" in text(twice)
    rows = database.select_read_only(
        night.connection, "select decision, decided_by from approvals order by decided_at"
    )[1]
    assert rows == [["approve", "airflow:a user"], ["decline", "airflow:a op"]]
    shown = client.get(f"{P}/desk/{key}", headers=token("viewer"))
    assert SCRIPT not in shown.text
    assert f"{SCRIPT} by op" in text(shown)
    assert "replaces the earlier decisions" in text(shown)
    assert shown.headers["cache-control"] == "no-store"
    read = database.select_read_only(
        night.connection, "select read_by, loan_id, place from readings order by reading_id"
    )[1]
    readers = ("user", "user", "op", "op", "viewer")
    assert read == [[f"airflow:a {role}", key, "desk"] for role in readers]


@pytest.mark.attack
def test_viewer_sees_no_form_and_may_not_decide(client: Any, token: Token, night: Session) -> None:
    key = loan(night, "review")
    sent = form_of(night)
    path = f"{P}/desk/{key}/decision"
    assert client.post(path, data=sent).status_code == 401
    assert client.post(path, data=sent, headers=token("viewer")).status_code == 403
    cookie = {"Cookie": "_token=" + token("op")["Authorization"].removeprefix("Bearer ")}
    assert client.post(path, data=sent, headers=cookie).status_code == 403
    evil = cookie | {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert client.post(path, data=sent, headers=evil).status_code == 403
    assert client.post(f"{P}/desk/{key}/what-if", headers=token("viewer")).status_code == 403
    assert column(night, "select count(*) from approvals") == [0]
    shown = client.get(f"{P}/desk/{key}", headers=token("viewer")).text
    assert "<form" not in shown
    assert "Only the roles User and Op may decide" in shown


@pytest.mark.attack
def test_wrong_decision_is_refused(client: Any, token: Token, night: Session) -> None:
    op, key = token("op"), loan(night, "review")

    def status(loan_id: Any, **changes: str) -> int:
        sent = form_of(night, **changes)
        return client.post(f"{P}/desk/{loan_id}/decision", data=sent, headers=op).status_code

    assert status(key, comment="  ") == 422
    assert status(key, comment="x" * 2001) == 422
    assert status(key, comment="a\x00b") == 422
    assert status(key, decision="maybe") == 422
    assert status(key, scoring_run_id="an older one") == 409
    assert status(loan(night, "decline")) == 409
    assert status("999999999") == 404
    assert status("none") == 404
    assert column(night, "select count(*) from approvals") == [0]
    written = form_of(night, decision="approve", comment="Why I think so", approved_up_to="nought")
    again = client.post(f"{P}/desk/{key}/decision", data=written, headers=op)
    assert (again.status_code, "Not recorded.</strong> approved_up_to: " in again.text) == (
        422,
        True,
    )
    assert ">Why I think so</textarea>" in again.text
    assert 'value="nought"' in again.text


def test_what_if_scores_and_names_a_wrong_field(client: Any, token: Token, night: Session) -> None:
    key, op = loan(night, "review"), token("op")
    ratio = night.contract.ratios[0]
    path = f"{P}/desk/{key}/what-if"
    answer = client.post(
        path, data={"model": "propensity-1", ratio.denominator: "500000"}, headers=op
    )
    assert answer.status_code == 200
    assert "500,000" in text(answer)
    answer = client.post(path, data={"model": "champion", ratio.denominator: SCRIPT}, headers=op)
    assert answer.status_code == 422
    (fault,) = re.findall(r'<div class="notice fault".*?</div>', answer.text, re.DOTALL)
    assert night.contract.by_name[ratio.denominator].label in html.unescape(fault)
    assert SCRIPT not in answer.text
    assert client.post(path, data={"model": "propensity-9"}, headers=op).status_code == 404
    assert client.post(path, data={"model": "x"}, headers=op).status_code == 422
    assert column(night, "select called_by || ' ' || purpose from calls") == [
        "airflow:a op what_if"
    ]


def test_desk_without_scores_is_empty(
    client: Any, token: Token, empty: Session, point: Callable[[Session], None]
) -> None:
    point(empty)
    seen = token("viewer")
    assert "no batch is scored yet" in text(client.get(f"{P}/desk", headers=seen))
    assert client.get(f"{P}/desk/1", headers=seen).status_code == 404
    assert "No model yet" in text(client.get(f"{P}/models", headers=seen))


@pytest.fixture
def two(
    ready: Session,
    challenge: Callable[..., dict[str, str]],
    point: Callable[[Session], None],
) -> Session:
    """The plugin's database with a second pair of champions, promoted with a comment of markup."""
    pair = challenge("second")
    promote_by_hand(ready, pair["propensity"], "cli:tests", f"why {SCRIPT}")
    point(ready)
    return ready


def test_models_are_compared_and_have_cards(client: Any, token: Token, two: Session) -> None:
    seen = token("viewer")
    shown = client.get(f"{P}/models", headers=seen)
    assert "propensity-2 and personas-2 are champions" in text(shown)
    assert '<form method="post"' not in shown.text  # a viewer may compare but not roll back
    assert SCRIPT not in shown.text
    assert f"why {SCRIPT}" in text(shown)
    shown = client.get(f"{P}/models?left=propensity-1&right=propensity-2", headers=seen)
    assert shown.status_code == 200
    assert client.get(f"{P}/models?left=propensity-9", headers=seen).status_code == 404
    assert client.get(f"{P}/models?left=x", headers=seen).status_code == 404
    card = client.get(f"{P}/models/personas-1/card", headers=seen)
    assert "Model card: propensity-1" in text(card)
    assert client.get(f"{P}/models/propensity-9/card", headers=seen).status_code == 404


@pytest.mark.attack
def test_rollback_needs_an_admin_and_a_confirmation(
    client: Any, token: Token, two: Session
) -> None:
    path = f"{P}/models/rollback"
    sent = {"comment": "approves too few", "seen": "propensity-2", "confirm": "yes"}
    for role in ("viewer", "user", "op"):
        assert client.post(path, data=sent, headers=token(role)).status_code == 403
    admin = token("admin")
    for name, wrong in (("comment", " "), ("confirm", "no"), ("seen", "")):
        assert client.post(path, data=sent | {name: wrong}, headers=admin).status_code == 422
    assert client.post(path, data=sent | {"seen": "propensity-1"}, headers=admin).status_code == 409
    answer = client.post(path, data=sent, headers=admin, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{P}/models#history")
    assert client.post(path, data=sent, headers=admin).status_code == 409
    rows = database.select_read_only(
        two.connection,
        "select model_version, decided_by, comment from promotions where occasion = 'rollback'"
        " order by 1",
    )[1]
    assert rows == [
        [version, "airflow:a admin", "approves too few"]
        for version in ("personas-1", "propensity-1")
    ]
    assert column(two, "select done_by from audit_log where action = 'promotion.rollback'") == [
        "airflow:a admin"
    ]


@pytest.mark.attack
def test_two_admins_sign_and_nobody_else(client: Any, token: Token, two: Session) -> None:
    path = f"{P}/models/propensity-2/sign"
    (seen,) = column(two, "select artifact_sha256 from models where model_version = 'propensity-2'")
    sent = {"signed_as": "review", "comment": "read", "seen": seen, "confirm": "yes"}
    for role in ("viewer", "user", "op"):
        assert client.post(path, data=sent, headers=token(role)).status_code == 403
    admin = token("admin")
    for name, wrong in (("comment", " "), ("confirm", "no"), ("signed_as", "promotion")):
        assert client.post(path, data=sent | {name: wrong}, headers=admin).status_code == 422
    assert client.post(path, data=sent | {"seen": "other"}, headers=admin).status_code == 409
    answer = client.post(path, data=sent, headers=admin, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{P}/models#signatures")
    again = client.post(path, data=sent | {"signed_as": "acceptance"}, headers=admin)
    assert again.status_code == 409
    assert "another person must sign the acceptance" in text(again)
    shown = text(client.get(f"{P}/models", headers=token("viewer")))
    assert "by airflow:a admin" in shown
    assert "Sign the" not in shown
    assert "Sign the acceptance of propensity-2" in text(client.get(f"{P}/models", headers=admin))
    report = client.get(f"{P}/models/propensity-2/report?annex_iv=true", headers=token("viewer"))
    assert "Annex IV: overview" in text(report)
    assert client.get(f"{P}/models/propensity-9/report", headers=admin).status_code == 404


def test_figures_by_reviewer_are_seen_by_admins_and_the_reviewer(
    client: Any, token: Token, night: Session
) -> None:
    for user, decision in (("op", "review"), ("admin", "refer")):
        address = f"{P}/desk/{loan(night, decision)}/decision"
        answer = client.post(
            address, headers=token(user), data=form_of(night), follow_redirects=False
        )
        assert answer.status_code == 303
    for address in (f"{P}/", f"{P}/batches/{NIGHT}"):
        for user, names in (("admin", {"op", "admin"}), ("op", {"op"}), ("viewer", set())):
            shown = client.get(address, headers=token(user))
            assert shown.status_code == 200
            rows = re.findall(r'<th scope="row" class="text">airflow:a (\w+)', shown.text)
            if "Decisions of people" in shown.text:
                assert set(rows) == names, (address, user)
            else:
                assert address.endswith(NIGHT), "the section of a batch needs its metrics"
