"""The desk: its queue, one application, a person's decision, and a what-if score."""

import math
import threading
from contextlib import closing

import pytest

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database import audit
from loan_scoring.database.session import Session
from loan_scoring.desk.application import read_application, score_what_if
from loan_scoring.desk.changes import HALVINGS, STEPS, find_smallest_changes
from loan_scoring.desk.decisions import RecordedDecision, record_decision
from loan_scoring.desk.extracts import list_calls, list_scores, list_scoring_runs
from loan_scoring.desk.queue import QueueFilter, count_queue, current_run, read_queue
from loan_scoring.desk.similar import similar_cases
from loan_scoring.errors import InputError, LoanScoringError, MissingError, StateError
from loan_scoring.scoring.batch import score_batch
from loan_scoring.scoring.queue import fill_queue, is_filled
from loan_scoring_web.forms import QueueQuery
from loan_scoring_web.pages.application import _typed, negotiable_inputs, read_application_page
from loan_scoring_web.pages.deciding import read_deciding
from loan_scoring_web.pages.templating import render_template

pytestmark = pytest.mark.integration

ANN, BOB = "airflow:ann", "airflow:bob"


def column(session: Session, query: str) -> list:
    return [row[0] for row in database.select_read_only(session.connection, query)[1]]


def loan(session: Session, decision: str) -> int:
    query = f"select loan_id from current_scores where decision = '{decision}' order by 1 limit 1"
    (found,) = column(session, query)
    return found


def walk(session: Session, wanted: QueueFilter, limit: int) -> list[int]:
    """Return the loans of all pages."""
    found, after = [], None
    while True:
        page = read_queue(session, None, wanted, after, limit)
        assert len(page.rows) <= limit
        found += [row["loan_id"] for row in page.rows]
        after = page.next
        if after is None:
            return found


def test_queue_has_the_applications_for_a_person_the_likeliest_default_first(
    scored: Session,
) -> None:
    expected = column(
        scored,
        "select loan_id from current_scores where decision in ('review', 'refer')"
        " order by default_probability desc nulls last, loan_id",
    )
    assert len(expected) > 60
    for limit in (7, 50, 1000):
        assert walk(scored, QueueFilter(), limit) == expected


def test_filters_select_the_right_rows(scored: Session) -> None:
    (persona,) = column(
        scored, "select persona from current_scores where decision = 'review' order by 1 limit 1"
    )
    (reason,) = column(
        scored, "select reason_2 from current_scores where decision = 'review' order by 1 limit 1"
    )
    (why,) = column(
        scored, "select exclusion_reason from current_scores where decision = 'refer' limit 1"
    )
    for wanted, condition in [
        (QueueFilter(decision="review"), "decision = 'review'"),
        (QueueFilter(decision="refer"), "decision = 'refer'"),
        (QueueFilter(persona=persona), f"persona = $${persona}$$"),
        (QueueFilter(reason=reason), f"$${reason}$$ in (reason_1, reason_2, reason_3, reason_4)"),
        (QueueFilter(reason=why), f"exclusion_reason = '{why}'"),
        (
            QueueFilter(low=0.2, high=0.3),
            "default_probability >= 0.2 and default_probability < 0.3",
        ),
        (QueueFilter(state="decided"), "false"),
        (QueueFilter(persona="no such"), "false"),
    ]:
        expected = column(
            scored,
            "select loan_id from current_scores where decision in ('review', 'refer')"
            f" and {condition} order by default_probability desc nulls last, loan_id",
        )
        assert walk(scored, wanted, 13) == expected
        assert expected or condition == "false"


def test_counts_agree_with_the_queue(scored: Session) -> None:
    record_decision(scored, loan(scored, "review"), "approve", "fine", ANN)
    run = current_run(scored)
    found = count_queue(scored, run)
    of_decision = {row["value"]: (row["applications"], row["decided"]) for row in found["decision"]}
    reviewed = len(walk(scored, QueueFilter(decision="review"), 500))
    referred = len(walk(scored, QueueFilter(decision="refer"), 500))
    assert of_decision == {"review": (reviewed, 1), "refer": (referred, 0)}
    for row in found["persona"]:
        assert len(walk(scored, QueueFilter(persona=row["value"]), 500)) == row["applications"]
    assert sum(row["applications"] for row in found["reason"]) == reviewed + referred


def test_batch_that_is_not_scored_is_an_error(scored: Session, empty: Session) -> None:
    with pytest.raises(MissingError, match="batch 2020-01-01 is not scored in loan_default"):
        read_queue(scored, "2020-01-01")
    with pytest.raises(MissingError, match="no batch is scored yet"):
        read_queue(empty)


def test_decision_is_recorded_with_the_user_and_in_the_audit_log(scored: Session) -> None:
    key = loan(scored, "review")
    before = column(scored, "select md5(string_agg(t::text, '|' order by loan_id)) from scores t")
    done = record_decision(scored, str(key), "approve", "  pays elsewhere ", ANN)
    assert (done.replaces, done.decided_by) == (None, ANN)
    header, rows = database.select_read_only(scored.connection, "select * from approvals")
    (row,) = (dict(zip(header, each, strict=True)) for each in rows)
    assert (row["loan_id"], row["decision"], row["comment"]) == (key, "approve", "pays elsewhere")
    assert (row["suggestion"], row["decided_by"]) == ("review", ANN)
    assert 0 < row["default_probability"] < 1
    assert row["scoring_run_id"] == current_run(scored)["scoring_run_id"]
    (entry,) = audit.recent_entries(scored, limit=1)
    assert (entry["done_by"], entry["action"], entry["subject"]) == (
        ANN, "approval.approve", f"loan {key}",
    )  # fmt: skip
    assert entry["details"]["comment"] == "pays elsewhere"
    assert audit.verify_chain(scored).faults == []
    # Nobody's score changes with what a person decides.
    assert before == column(
        scored, "select md5(string_agg(t::text, '|' order by loan_id)) from scores t"
    )


def test_second_decision_adds_a_row_and_says_so(scored: Session) -> None:
    key = loan(scored, "refer")
    record_decision(scored, key, "approve", "value seen on paper", ANN)
    again = record_decision(scored, key, "decline", "paper was forged", BOB)
    assert again.replaces is not None
    assert again.replaces["decided_by"] == ANN
    assert "it replaces approve by airflow:ann" in again.sentence
    shown = read_application(scored, key)
    assert [(row["decision"], row["decided_by"]) for row in shown.approvals] == [
        ("decline", BOB), ("approve", ANN),
    ]  # fmt: skip
    (queued,) = [
        row
        for row in read_queue(scored, wanted=QueueFilter(state="decided")).rows
        if row["loan_id"] == key
    ]
    assert (queued["last_decision"], queued["decided_by"]) == ("decline", BOB)


def test_two_persons_at_once_see_each_other(scored: Session) -> None:
    key = loan(scored, "review")
    done: list[RecordedDecision] = []

    def decide(user: str) -> None:
        with closing(database.connect_beside(scored.connection)) as connection:
            own = Session(scored.contract, connection)
            done.append(record_decision(own, key, "approve", "yes", user))

    threads = [threading.Thread(target=decide, args=(f"airflow:{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(each.replaces is None for each in done) == [False, False, False, True]
    assert audit.verify_chain(scored).faults == []


def test_of_two_who_saw_no_decision_only_the_first_may_decide(scored: Session) -> None:
    key = loan(scored, "review")
    seen = read_application_page(scored, key)["seen"]
    assert seen == ""
    record_decision(scored, key, "approve", "yes", ANN, seen=seen)
    with pytest.raises(StateError, match=r"decided meanwhile by airflow:ann; open the application"):
        record_decision(scored, key, "decline", "no", BOB, seen=seen)
    assert column(scored, "select decided_by from approvals") == [ANN]
    seen = read_application_page(scored, key)["seen"]
    assert record_decision(scored, key, "decline", "no", BOB, seen=seen).replaces is not None


def test_decision_of_the_policy_cannot_be_changed(scored: Session) -> None:
    for decision in ("approve", "decline"):
        with pytest.raises(
            StateError, match=f"the policy decides {decision}; a person decides review and refer"
        ):
            record_decision(scored, loan(scored, decision), "approve", "why not", ANN)
    for key in (-1, 2**63, "1e5", "", "24890; drop table scores", "\u0661", 999_999_999):
        with pytest.raises(MissingError):
            record_decision(scored, key, "approve", "why not", ANN)
    key = loan(scored, "review")
    with pytest.raises(LoanScoringError, match="is not one of approve, decline"):
        record_decision(scored, key, "review", "hm", ANN)
    with pytest.raises(LoanScoringError, match="the comment is empty"):
        record_decision(scored, key, "approve", "  \n", ANN)
    assert column(scored, "select count(*) from approvals") == [0]
    assert column(scored, "select count(*) from audit_log where action like 'approval%'") == [0]


def test_decision_on_a_score_that_was_replaced_is_refused(scored: Session) -> None:
    key = loan(scored, "review")
    run = current_run(scored)["scoring_run_id"]
    with pytest.raises(StateError, match="was scored again since you opened it"):
        record_decision(scored, key, "approve", "yes", ANN, scoring_run_id=f"{run}-older")
    assert record_decision(scored, key, "approve", "yes", ANN, run).replaces is None


def test_decision_on_an_older_score_leaves_the_new_one_to_decide(scored: Session) -> None:
    key = loan(scored, "review")
    record_decision(scored, key, "approve", "yes", ANN)
    older = current_run(scored)["scoring_run_id"]
    with scored.connection, scored.connection.cursor() as cursor:
        cursor.execute(
            "UPDATE scoring_runs SET is_current = false;"
            "INSERT INTO scoring_runs SELECT (jsonb_populate_record(r, jsonb_build_object("
            " 'scoring_run_id', 'newer', 'is_current', true))).* FROM scoring_runs AS r;"
            "INSERT INTO scores SELECT (jsonb_populate_record(s, jsonb_build_object("
            " 'scoring_run_id', 'newer'))).* FROM scores AS s"
        )
    assert current_run(scored)["scoring_run_id"] == "newer"
    assert not is_filled(scored, current_run(scored))
    fill_queue(scored, current_run(scored))
    assert key in walk(scored, QueueFilter(state="open"), 500)
    assert walk(scored, QueueFilter(state="decided"), 500) == []
    told = count_queue(scored, current_run(scored))["decision"]
    assert {row["value"]: row["decided"] for row in told} == {"review": 0, "refer": 0}
    shown = read_application_page(scored, key)
    shown |= read_deciding(scored, shown["shown"], QueueQuery(), ANN)
    assert [each["scoring_run_id"] for each in shown["shown"].approvals] == [older]
    page = render_template(
        "desk_application.html", base="", airflow="", portfolio="loan_default", portfolios=[],
        user="ann", is_operator=True, is_admin=False, may_appeal=False, active="desk", **shown,
    )  # fmt: skip
    assert "These decisions are on an older score. The score above is not decided yet." in page
    assert "It is decided already" not in page


def test_application_is_shown_with_labels_reasons_and_exact_contributions(scored: Session) -> None:
    key = loan(scored, "review")
    shown = read_application(scored, key)
    labels = {column.name: column.label for column in scored.contract.inputs}
    assert {each.name: each.label for each in shown.inputs} == labels
    assert (shown.unexplained, shown.approvals) == (None, [])
    chance = shown.score["default_probability"]
    assert shown.base is not None
    total = shown.base + sum(each.contribution or 0 for each in shown.inputs)
    assert total == pytest.approx(math.log(chance / (1 - chance)), abs=1e-6)
    strongest = [each for each in shown.contributions if (each.contribution or 0) > 0][:4]
    told = [f"{e.label} is missing" if e.value is None else e.label for e in strongest]
    assert shown.score["reasons"] == told
    assert shown.suggestion.startswith("Review: the default probability, ")
    assert len(shown.score["histogram"]["edges"]) == len(shown.score["histogram"]["paid"]) + 1


def test_referred_application_is_shown_without_contributions(scored: Session) -> None:
    shown = read_application(scored, loan(scored, "refer"))
    assert (shown.base, shown.contributions) == (None, [])
    assert shown.unexplained == "no model scores this application"
    assert shown.suggestion.startswith("Refer: ")


def test_what_if_scores_changed_inputs_and_stores_no_score(scored: Session) -> None:
    contract, key = scored.contract, loan(scored, "review")
    tables = ("scores", "applications", "scoring_runs", "approvals")
    counts = [column(scored, f"select count(*) from {table}") for table in tables]
    same, answer = score_what_if(scored, key, {}, "champion", ANN)
    chance = read_application(scored, key).score["default_probability"]
    assert answer.scores[0]["default_probability"] == pytest.approx(chance, abs=1e-12)
    ratio = contract.ratios[0]
    halved = {ratio.denominator: same[ratio.denominator] / 2}
    changed, answer = score_what_if(scored, key, halved, "propensity-1", ANN)
    assert changed[ratio.column] == pytest.approx(2 * same[ratio.column], rel=1e-3)
    assert answer.scores[0]["default_probability"] != pytest.approx(chance, abs=1e-12)
    with pytest.raises(InputError) as raised:
        score_what_if(scored, key, {ratio.denominator: "much"}, "champion", ANN)
    assert {each.field for each in raised.value.faults} == {ratio.denominator}
    with pytest.raises(MissingError):
        score_what_if(scored, key, {}, "propensity-9", ANN)
    assert [column(scored, f"select count(*) from {table}") for table in tables] == counts
    assert column(scored, "select purpose from calls") == ["what_if", "what_if"]


def test_null_token_is_shown_as_no_value(loan_default: Contract) -> None:
    number = next(each for each in loan_default.features if each.is_numeric)
    number = number.model_copy(update={"null_tokens": ["NA"]})
    assert [_typed(number, each) for each in ("NA", "7", None)] == [None, 7.0, None]


def test_executions_are_found_by_batch_model_and_time_and_paged_by_key(scored: Session) -> None:
    score_batch(scored, "2026-01-05")  # the same run
    (run,) = list_scoring_runs(scored)
    moment = run["published_at"]
    assert list_scoring_runs(scored, batch_id="2026-01-05", model_version="personas-1") == [run]
    assert list_scoring_runs(scored, since=moment) == [run]
    assert list_scoring_runs(scored, until=moment) == []
    assert list_scoring_runs(scored, batch_id="2026-01-06") == []
    assert list_scoring_runs(scored, model_version="propensity-2") == []
    assert list_scoring_runs(scored, after=run["scoring_run_id"]) == []
    found, after = [], None
    while page := list_scores(scored, run["scoring_run_id"], after, 300):
        found += [row["loan_id"] for row in page]
        after = page[-1]["loan_id"]
    assert found == column(scored, "select loan_id from current_scores order by 1")
    with pytest.raises(MissingError, match="no published scoring run x"):
        list_scores(scored, "x")


def test_calls_are_extracted_in_the_order_of_time(scored: Session) -> None:
    key = loan(scored, "review")
    for user in (ANN, BOB, ANN):
        score_what_if(scored, key, {}, "champion", user)
    found = list_calls(scored)
    assert [row["called_by"] for row in found] == [ANN, BOB, ANN]
    first = (found[0]["called_at"], str(found[0]["call_id"]))
    assert list_calls(scored, after=first, limit=1) == found[1:2]
    assert list_calls(scored, since=found[2]["called_at"]) == found[2:]
    assert list_calls(scored, until=found[1]["called_at"]) == found[:1]
    assert list_calls(scored, model_version="propensity-2") == []


def test_smallest_changes_approve_and_smaller_ones_do_not(scored: Session) -> None:
    contract, key = scored.contract, loan(scored, "review")
    shown = read_application(scored, key)
    names = negotiable_inputs(contract, shown)
    assert not set(names) & set(contract.protected_names)
    limit = contract.decision.approve_below
    found = find_smallest_changes(scored, key, names)
    assert found
    assert [each.size for each in found] == sorted(each.size for each in found)
    for each in found:
        changed, answer = score_what_if(scored, key, {each.name: each.after}, "champion", ANN)
        assert changed[each.name] == each.after != each.before
        (score,) = answer.scores
        assert score["decision"] == "approve"
        assert score["default_probability"] == pytest.approx(each.default_probability, abs=1e-9)
        assert each.default_probability < limit
        if contract.by_name[each.name].is_numeric:
            # Nearer by a little more than what the search leaves undecided, it does not approve.
            change = each.after - each.before
            left = abs(change) / each.size / STEPS / 2**HALVINGS
            nearer = each.after - math.copysign(1.5 * left + 1e-6 * abs(each.after), change)
            if contract.by_name[each.name].type == "integer":
                nearer = math.floor(nearer) if change > 0 else math.ceil(nearer)
            _, answer = score_what_if(scored, key, {each.name: nearer}, "champion", ANN)
            assert answer.scores[0]["decision"] != "approve", each
    assert column(scored, "select count(*) from calls where purpose = 'score'") == [0]


def test_smallest_change_needs_a_score_that_does_not_approve(scored: Session) -> None:
    for decision, message in (("approve", "approves this"), ("refer", "no model scores")):
        with pytest.raises(StateError, match=message):
            find_smallest_changes(scored, loan(scored, decision), ["loan_amount_usd"])
    with pytest.raises(MissingError):
        find_smallest_changes(scored, 999_999_999, [])


def test_similar_cases_are_decided_ones_of_the_persona_the_nearest_first(scored: Session) -> None:
    key = loan(scored, "review")
    score = read_application(scored, key).score
    assert similar_cases(scored, score) == []
    same = column(
        scored,
        "select loan_id from current_scores where decision = 'review'"
        f" and persona = '{score['persona']}' and loan_id <> {key}"
        f" order by abs(default_probability - {score['default_probability']}), loan_id limit 12",
    )
    fill_queue(scored, current_run(scored, None))
    for each in same[1:11]:
        record_decision(scored, each, "approve", "fits", ANN)
    other = column(
        scored,
        "select loan_id from current_scores where decision = 'review'"
        f" and persona <> '{score['persona']}' limit 1",
    )
    for each in other:
        record_decision(scored, each, "decline", "other persona", ANN)
    found = similar_cases(scored, score)
    assert [each["loan_id"] for each in found] == same[1:9]
    assert {each["decided"] for each in found} == {"approve"}
    assert {each["is_default"] for each in found} == {None}
    referred = read_application(scored, loan(scored, "refer")).score
    assert similar_cases(scored, referred) == []


def test_protected_values_are_hidden_from_who_decides_if_the_contract_says_so(
    scored: Session,
) -> None:
    key, contract = loan(scored, "review"), scored.contract
    desk = contract.desk.model_copy(update={"mask_protected": True})
    masking = Session(contract.model_copy(update={"desk": desk}), scored.connection)
    shown = read_application_page(masking, key)
    hidden = {each.name: each for each in shown["shown"].inputs if each.is_hidden}
    assert set(hidden) == set(contract.protected_names) & {each.name for each in contract.inputs}
    assert hidden
    assert {(each.value, each.shown) for each in hidden.values()} == {(None, "hidden")}
    assert not {each["name"] for each in shown["fields"]} & set(hidden)
