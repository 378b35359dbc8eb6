"""Steps of a decision: documents, two persons, undo, conditions, appeals, claims, many at once."""

import signal
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from children import Spawn
from psycopg2 import sql

from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.contract.desk import DeskPolicy, StandardReason
from loan_scoring.database import audit
from loan_scoring.database.session import Session, open_session
from loan_scoring.desk.application import read_application
from loan_scoring.desk.decisions import (
    claim_application,
    decision_token,
    record_decision,
    record_referrals,
    undo_decision,
)
from loan_scoring.desk.extracts import list_scores
from loan_scoring.desk.letter import decline_letter
from loan_scoring.desk.queue import (
    QueueFilter,
    count_queue,
    current_run,
    next_to_decide,
    place_in_queue,
    read_queue,
    sortable,
)
from loan_scoring.desk.terms import Terms
from loan_scoring.errors import DatabaseError, LoanScoringError, StateError
from loan_scoring.monitoring.performance.coverage import outcome_coverage, read_until
from loan_scoring.monitoring.performance.due import people_who_approved
from loan_scoring.privacy.erase import erase_loan
from loan_scoring.scoring.batch import publish_scores
from loan_scoring.scoring.queue import (
    NO_NESTED_LOOP,
    fill_queue,
    insert_queue,
    is_filled,
    queue_columns,
)

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
ANN, BOB = "airflow:ann", "airflow:bob"
REASONS = [
    StandardReason(reason="income_low", label="The income is too low", decision="decline"),
    StandardReason(reason="seen", label="Papers were seen"),
]


def column(session: Session, query: str) -> list:
    return [row[0] for row in database.select_read_only(session.connection, query)[1]]


def loans(session: Session, decision: str, further: str = "") -> list[Any]:
    return column(
        session,
        "select loan_id from current_scores join current_applications using (batch_id, loan_id)"
        f" where decision = '{decision}' {further} order by 1",
    )


def under(session: Session, **desk: Any) -> Session:
    """Return the session under a contract with other rules of the desk, as after `migrate`."""
    policy = DeskPolicy(columns=session.contract.desk.columns, **desk)
    changed = session.contract.model_copy(update={"desk": policy})
    database.execute(session.connection, "upsert_desk_rules", **changed.desk_rules)
    session.connection.commit()
    return Session(changed, session.connection)


def counted(session: Session) -> dict[Any, str]:
    """Return the decisions that count, which every view and query must agree on."""
    rows = database.select_read_only(
        session.connection, "select loan_id, decision from person_decisions order by 1"
    )[1]
    found = dict(rows)
    for query in (
        "select loan_id, decision from reviews order by 1",
        "select loan_id, decision from decisions_in_effect where decided_by is not null order by 1",
    ):
        assert database.select_read_only(session.connection, query)[1] == rows
    people = people_who_approved(session, NIGHT).to_pylist()
    assert {each["loan_id"]: each["is_approved"] for each in people} == {
        loan_id: decision == "approve" for loan_id, decision in found.items()
    }
    told = list_scores(session, current_run(session)["scoring_run_id"], limit=10_000)
    assert {row["loan_id"]: row["person_decision"] for row in told if row["person_decision"]} == (
        found
    )
    assert audit.verify_chain(session).sentences == []
    return found


def test_documents_wanted_is_a_state_and_no_decision(scored: Session) -> None:
    key = loans(scored, "review")[0]
    record_decision(scored, key, "documents", "a valuation", ANN)
    assert counted(scored) == {}
    (row,) = read_queue(scored, wanted=QueueFilter(state="documents")).rows
    assert (row["loan_id"], row["state"], row["decided_by"]) == (key, "documents", ANN)
    assert key not in [
        r["loan_id"] for r in read_queue(scored, wanted=QueueFilter(state="open")).rows
    ]
    told = list_scores(scored, current_run(scored)["scoring_run_id"], limit=10_000)
    assert {r["loan_id"]: r["desk_state"] for r in told if r["desk_state"]} == {key: "documents"}
    record_decision(scored, key, "decline", "the valuation is too low", BOB)
    assert counted(scored) == {key: "decline"}
    with pytest.raises(StateError, match="is decided; undo the decision before you ask for"):
        record_decision(scored, key, "documents", "more", ANN)


def test_undo_is_a_row_and_brings_back_what_was_before(scored: Session) -> None:
    key = loans(scored, "review")[0]
    record_decision(scored, key, "documents", "a valuation", ANN)
    done = record_decision(scored, key, "approve", "fine", BOB)
    with pytest.raises(StateError, match=f"only {BOB} can undo this decision"):
        undo_decision(scored, done.approval_id, ANN)
    outcome = undo_decision(scored, done.approval_id, BOB)
    assert outcome == {"loan_id": str(key), "decision": "approve"}
    assert counted(scored) == {}
    assert [row["decision"] for row in read_application(scored, key).approvals] == ["documents"]
    with pytest.raises(StateError, match="is not the last one, or is undone already"):
        undo_decision(scored, done.approval_id, BOB)
    rows = database.select_read_only(
        scored.connection, "select decision, undoes from approvals order by approval_id"
    )[1]
    assert rows == [["documents", None], ["approve", None], ["undo", done.approval_id]]
    entries = [row["action"] for row in audit.recent_entries(scored, limit=3)]
    assert entries == ["approval.undo", "approval.approve", "approval.documents"]


def test_undo_after_the_next_publication_or_the_declared_time_is_refused(scored: Session) -> None:
    first, second = loans(scored, "review")[:2]
    done = record_decision(scored, first, "approve", "fine", ANN)
    run = current_run(scored)["scoring_run_id"]
    publish_scores(scored, run, is_asked_for=True)  # the same run again is no publication
    timed = under(scored, undo_minutes=5)
    late = record_decision(timed, second, "approve", "fine", ANN)
    with timed.connection, timed.connection.cursor() as cursor:
        cursor.execute(
            "alter table approvals disable trigger user;"
            "update approvals set decided_at = decided_at - interval '6 minutes'"
            f" where approval_id = {late.approval_id};"
            "alter table approvals enable trigger user; select seal_records('role:test')"
        )
    with pytest.raises(StateError, match="can be undone for 5 minutes; decide anew"):
        undo_decision(timed, late.approval_id, ANN)
    with timed.connection, timed.connection.cursor() as cursor:
        cursor.execute(
            "insert into publications (batch_id, scoring_run_id, occasion, published_by)"
            f" values ('{NIGHT}', '{run}', 'scoring', 'cli:x'); select seal_records('role:test')"
        )
    with pytest.raises(StateError, match="scores were published since"):
        undo_decision(timed, done.approval_id, ANN)
    assert counted(timed) == {first: "approve", second: "approve"}


def test_a_large_amount_needs_another_person(scored: Session) -> None:
    amount = scored.contract.business.amount if scored.contract.business else ""
    (limit,) = column(scored, f"select percentile_disc(0.9) within group (order by {amount})"
                              " from current_applications")  # fmt: skip
    desk = under(scored, four_eyes_above=float(limit))
    (large, other, *_), small = (
        loans(desk, "review", f"and {amount} > {limit}"),
        loans(desk, "review", f"and {amount} <= {limit}")[0],
    )
    record_decision(desk, small, "approve", "fine", ANN)
    first = record_decision(desk, large, "approve", "fine", ANN)
    assert first.awaits_second
    assert "waits for a second person" in first.sentence
    assert counted(desk) == {small: "approve"}
    for name in (ANN, "airflow:Ann"):
        with pytest.raises(StateError, match="four eyes: airflow:ann decided first"):
            record_decision(desk, large, "approve", "yes, fine", name)
    assert counted(desk) == {small: "approve"}
    state = [row["loan_id"] for row in read_queue(desk, wanted=QueueFilter(state="second")).rows]
    assert state == [large]
    run = current_run(desk)
    todo = QueueFilter(state="second")
    assert next_to_decide(desk, run, todo, small, ANN) is None
    assert next_to_decide(desk, run, todo, small, BOB) == large
    confirmed = record_decision(desk, large, "approve", "I agree", BOB)
    assert (confirmed.awaits_second, confirmed.confirms) == (False, first.approval_id)
    assert "it confirms approve by airflow:ann" in confirmed.sentence
    assert counted(desk) == {small: "approve", large: "approve"}
    undo_decision(desk, confirmed.approval_id, BOB)
    assert counted(desk) == {small: "approve"}
    # Another decision of the second person is a first one.
    assert record_decision(desk, large, "decline", "no", BOB).awaits_second
    assert counted(desk) == {small: "approve"}
    # So is the same decision under another condition.
    record_decision(desk, other, "approve", "fine", ANN, terms=Terms(approved_up_to=1000))
    assert record_decision(desk, other, "approve", "all of it", BOB).awaits_second


def test_a_missing_amount_needs_another_person_and_the_earlier_function_too(
    scored: Session,
) -> None:
    desk = under(scored, four_eyes_above=1e9)
    amount = desk.contract.desk_rules["amount_column"]
    key, large = loans(desk, "review")[:2]
    with desk.connection, desk.connection.cursor() as cursor:
        cursor.execute(
            "alter table applications disable trigger user;"
            f"update applications set {amount} = null where loan_id = {key};"
            f"update applications set {amount} = 2000000000 where loan_id = {large}"
        )
    assert record_decision(desk, key, "decline", "no", ANN).awaits_second
    run = current_run(desk)["scoring_run_id"]
    with desk.connection, desk.connection.cursor() as cursor:
        cursor.execute(
            "select * from record_approval(%s, 'approve', 'x', %s, %s)", (large, ANN, run)
        )
    assert counted(desk) == {}
    with (
        pytest.raises(psycopg2.errors.CheckViolation, match="four eyes"),
        desk.connection,
        desk.connection.cursor() as cursor,
    ):
        cursor.execute(
            "select * from record_approval(%s, 'approve', 'x', %s, %s)", (large, ANN, run)
        )


def test_rules_that_were_not_migrated_stop_decisions(scored: Session) -> None:
    changed = scored.contract.model_copy(update={"desk": DeskPolicy(four_eyes_above=5.0)})
    with pytest.raises(DatabaseError, match="differ between contract and database; run"):
        record_decision(
            Session(changed, scored.connection), loans(scored, "review")[0], "approve", "x", ANN
        )


def test_condition_and_standard_reason_are_recorded(scored: Session) -> None:
    desk = under(scored, reasons=REASONS)
    amount = desk.contract.desk_rules["amount_column"]
    key, other = loans(desk, "review")[:2]
    (sought,) = column(desk, f"select {amount} from current_applications where loan_id = {key}")
    for up_to, decision, why in (
        (sought + 1, "approve", "approve up to"),
        (1, "decline", "a condition of an approval only"),
    ):
        with pytest.raises(LoanScoringError, match=why):
            record_decision(desk, key, decision, "x", ANN, terms=Terms(approved_up_to=up_to))
    with pytest.raises(LoanScoringError, match="'income_low' is no standard reason for approve"):
        record_decision(desk, key, "approve", "", ANN, terms=Terms("income_low"))
    with pytest.raises(LoanScoringError, match="the comment is empty"):
        record_decision(desk, key, "approve", " ", ANN)
    record_decision(desk, key, "approve", "", ANN, terms=Terms("seen", approved_up_to=sought - 1))
    record_decision(desk, other, "decline", "and no savings", ANN, terms=Terms("income_low"))
    rows = database.select_read_only(
        desk.connection,
        "select comment, standard_reason, approved_up_to, amount = (select sum(a.loan_amount_usd)"
        " from current_applications as a where a.loan_id = approvals.loan_id) from approvals"
        " order by approval_id",
    )[1]
    assert rows == [
        ["Papers were seen", "seen", sought - 1, True],
        ["and no savings", "income_low", None, True],
    ]
    told = list_scores(desk, current_run(desk)["scoring_run_id"], limit=10_000)
    limits = {r["loan_id"]: r["person_approved_up_to"] for r in told if r["person_approved_up_to"]}
    assert limits == {key: sought - 1}
    assert counted(desk) == {key: "approve", other: "decline"}


def test_appeal_replaces_the_decision_of_the_policy_and_stops_the_letter(scored: Session) -> None:
    declined, left = loans(scored, "decline")[0], loans(scored, "review")[0]
    with pytest.raises(StateError, match="the policy decides decline"):
        record_decision(scored, declined, "approve", "x", ANN)
    with pytest.raises(StateError, match="needs no appeal; decide it"):
        record_decision(scored, left, "approve", "x", ANN, terms=Terms(is_appeal=True))

    def record() -> dict[str, Any]:
        return database.rows(scored.connection, "select_loan_record", loan_id=declined)[0]

    assert decline_letter(scored.contract, record())
    done = record_decision(
        scored, declined, "approve", "the bureau erred", ANN, terms=Terms(is_appeal=True)
    )
    assert counted(scored) == {declined: "approve"}
    with pytest.raises(StateError, match="airflow:ann decided loan"):
        decline_letter(scored.contract, record())
    assert column(scored, "select suggestion from approvals") == ["decline"]
    (effect,) = column(
        scored, f"select decision from decisions_in_effect where loan_id = {declined}"
    )
    assert effect == "approve"
    assert count_queue(scored, current_run(scored))["state"]["decided"] == 0
    undo_decision(scored, done.approval_id, ANN)
    assert decline_letter(scored.contract, record())
    record_decision(scored, declined, "documents", "proof", ANN, terms=Terms(is_appeal=True))
    assert decline_letter(scored.contract, record())  # nothing is decided yet


def test_of_two_who_claim_at_once_one_has_it(scored: Session) -> None:
    key = loans(scored, "review")[0]
    told: list[str] = []
    refused: list[str] = []
    start = threading.Barrier(4)

    def claim(user: str) -> None:
        with closing(database.connect_beside(scored.connection)) as connection:
            start.wait(30)
            try:
                claim_application(Session(scored.contract, connection), key, user, user, None)
                told.append(user)
            except StateError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=claim, args=(f"airflow:{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(told) == 1
    assert {f"claimed by {told[0]}" in each for each in refused} == {True}
    with pytest.raises(StateError, match=f"is claimed by {told[0]}; take it over first"):
        record_decision(scored, key, "approve", "x", ANN)
    run = current_run(scored)
    mine = QueueFilter(state="mine", user=told[0])
    assert [row["loan_id"] for row in read_queue(scored, wanted=mine).rows] == [key]
    assert read_queue(scored, wanted=mine).total == 1
    everything = [row["loan_id"] for row in read_queue(scored, limit=1000).rows]
    before = everything[everything.index(key) - 1]
    assert next_to_decide(scored, run, QueueFilter(), before, ANN) != key
    assert next_to_decide(scored, run, QueueFilter(), before, told[0]) == key
    claim_application(scored, key, ANN, ANN, told[0])  # Ann takes it over
    record_decision(scored, key, "approve", "x", ANN)
    assert column(scored, "select assigned_to from desk_claims") == [None]


def test_all_referrals_of_a_reason_are_decided_with_one_comment_or_none(scored: Session) -> None:
    run = current_run(scored)["scoring_run_id"]
    (reason,) = column(
        scored,
        "select exclusion_reason from current_scores where decision = 'refer' group by 1"
        " order by count(*) desc limit 1",
    )
    of_reason = loans(scored, "refer", f"and exclusion_reason = '{reason}'")
    assert len(of_reason) > 4
    claimed, decided, *left = of_reason
    claim_application(scored, claimed, BOB, BOB, None)
    record_decision(scored, decided, "approve", "seen", BOB)
    with pytest.raises(StateError, match=f"{len(left)} applications of run .* not {len(left) + 1}"):
        record_referrals(scored, run, reason, "decline", "no value", ANN, len(left) + 1)
    assert counted(scored) == {decided: "approve"}
    done = record_referrals(scored, run, reason, "decline", "no value", ANN, len(left))
    assert done == (len(left), 0)
    assert counted(scored) == {decided: "approve"} | dict.fromkeys(left, "decline")
    with pytest.raises(StateError, match="no application referred as"):
        record_referrals(scored, run, reason, "decline", "no value", ANN, 0)


def decide_many(url: str) -> None:
    """Decide all referrals of the commonest reason. A child process does this."""

    with open_session("loan_default", url) as session:
        run = current_run(session)["scoring_run_id"]
        with session.connection, session.connection.cursor() as cursor:
            cursor.execute(
                "select exclusion_reason, count(*) from current_scores where decision = 'refer'"
                " group by 1 order by 2 desc limit 1"
            )
            found = cursor.fetchone()
        assert found is not None
        record_referrals(session, run, found[0], "decline", "no", ANN, found[1])


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.04, None])
def test_kill_between_leaves_all_or_nothing(
    scored: Session, spawn: Spawn, seconds: float | None
) -> None:
    info = scored.connection.info
    url = f"postgresql://{info.user}:{info.password}@{info.host}:{info.port}/{info.dbname}"
    child = spawn(decide_many, url)
    child.go()
    for step in child.steps():
        if seconds is not None and step.name.startswith("SELECT loans, awaiting"):
            time.sleep(seconds)
            child.kill()
    assert child.end() == (0 if seconds is None else -signal.SIGKILL)
    with database.transaction(scored.connection):
        database.lock(scored.connection, "approvals")  # wait for the server's end of it
    decided = counted(scored)
    (most,) = column(
        scored,
        "select count(*) from current_scores where decision = 'refer' group by exclusion_reason"
        " order by 1 desc limit 1",
    )
    assert len(decided) == (most if seconds is None else 0)


def test_any_order_and_the_place_in_it_agree_with_the_rows(scored: Session) -> None:
    run = current_run(scored)
    for sort in sortable(scored.contract):
        for is_ascending in (False, True):
            wanted = QueueFilter(sort=sort, is_ascending=is_ascending)
            whole = read_queue(scored, wanted=wanted, limit=10_000)
            keys, after = [], None
            while True:
                page = read_queue(scored, None, wanted, after, 37)
                keys += [row["loan_id"] for row in page.rows]
                after = page.next
                if after is None:
                    break
            assert keys == [row["loan_id"] for row in whole.rows]
            assert whole.total == len(keys) == len(set(keys))
            values = [row["value"] for row in whole.rows]
            assert values == sorted(values)
            for number in (0, 20, len(keys) - 1):
                place = place_in_queue(scored, run, wanted, keys[number])
                assert place is not None
                assert (place.number, place.total) == (number + 1, len(keys))
                follows = next_to_decide(scored, run, wanted, keys[number], ANN)
                assert follows == keys[(number + 1) % len(keys)]


def test_queue_is_written_again_for_other_columns_and_forgets_an_erased_loan(
    own_data: Path, scored: Session
) -> None:
    run = current_run(scored)
    fewer = scored.contract.model_copy(update={"desk": DeskPolicy(columns=["ltv_percent"])})
    other = Session(fewer, scored.connection)
    assert is_filled(scored, run)
    assert not is_filled(other, run)
    fill_queue(other, run)
    assert {len(row["numbers"]) for row in read_queue(other).rows} == {1}
    fill_queue(scored, run)
    key = loans(scored, "review")[0]
    record_decision(scored, key, "documents", f"asked loan {key} for papers", ANN)
    claim_application(scored, key, ANN, ANN, None)
    erase_loan(scored, key, "asked", "cli:x")
    for table in ("approvals", "claims", "desk_queue", "scores"):
        assert column(scored, f"select count(*) from {table} where loan_id = {key}") == [0], table
    assert column(scored, "select count(*) from claims") == [1]
    assert column(scored, "select comment from approvals") == ["erased"]
    assert audit.verify_chain(scored).records == []


def test_an_undo_asks_for_performance_anew(scored: Session) -> None:
    first, second = loans(scored, "review")[:2]
    done = record_decision(scored, first, "approve", "x", ANN)
    record_decision(scored, second, "approve", "x", ANN)

    def is_stale() -> bool:
        (found,) = outcome_coverage(scored)
        return found.is_stale

    until = read_until(scored, NIGHT)
    database.execute(
        scored.connection, "insert_outcome_coverage",
        scoring_run_id=current_run(scored)["scoring_run_id"], due=0, known=0, is_settled=False,
        counted_by="", **vars(until),
    )  # fmt: skip
    scored.connection.commit()
    assert not is_stale()
    undo_decision(scored, done.approval_id, ANN)
    assert is_stale()


def test_token_changes_with_each_step(scored: Session) -> None:
    key = loans(scored, "review")[0]
    seen = decision_token(read_application(scored, key).approvals)
    done = record_decision(scored, key, "approve", "x", ANN, seen=seen)
    undo_decision(scored, done.approval_id, ANN)
    assert decision_token(read_application(scored, key).approvals) == seen
    with pytest.raises(StateError, match="open the application again"):
        record_decision(scored, key, "decline", "x", BOB, seen=str(done.approval_id))


def test_contract_refuses_what_the_desk_cannot_show() -> None:
    text = (settings.portfolios_dir() / "loan_default.yaml").read_text()
    for columns, why in (
        (["gender"], "gender is not a number"),
        (["nothing"], "no column of the application is named 'nothing'"),
        (["loan_amount_usd", "loan_amount_usd"], "is listed twice"),
        (["interest_rate_percent"], "is not known at application"),
    ):
        values = yaml.safe_load(text)
        values["desk"]["columns"] = columns
        with pytest.raises(ValueError, match=why):
            Contract.model_validate(values)
    values = yaml.safe_load(text)
    del values["business"]
    values["desk"]["four_eyes_above"] = 5
    with pytest.raises(ValueError, match=r"desk\.four_eyes_above: declare business\.amount"):
        Contract.model_validate(values)


def test_queue_of_a_batch_without_statistics_is_written_by_a_merge(scored: Session) -> None:
    run = current_run(scored)
    values = {name: run[name] for name in ("scoring_run_id", "batch_id", "revision")}
    statement = insert_queue(queue_columns(scored.contract))
    with database.transaction(scored.connection), scored.connection.cursor() as cursor:
        cursor.execute(NO_NESTED_LOOP)
        cursor.execute(sql.SQL("EXPLAIN {}").format(statement), values)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Nested Loop" not in plan
    assert "Merge Join" in plan or "Hash Join" in plan
