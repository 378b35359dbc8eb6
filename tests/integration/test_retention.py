"""Retention drops whole months and records it; what an auditor needs is kept."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
from children import Spawn

from loan_scoring import database, settings
from loan_scoring.cli.main import main
from loan_scoring.database import audit
from loan_scoring.database import retention as database_retention
from loan_scoring.database.expired_files import expire_baselines, remove_expired_files
from loan_scoring.database.partitions import ensure_partition
from loan_scoring.database.retention import MOST_DAYS_AHEAD, drop_expired, expired_months
from loan_scoring.database.session import Session, open_session
from loan_scoring.desk.extracts import list_scores
from loan_scoring.desk.queue import read_queue
from loan_scoring.errors import BusyError, GoneError, StateError
from loan_scoring.ingest.batches import ingest_batch, land_batch
from loan_scoring.ingest.landing import find_applications_file, find_landed_files
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.monitoring.performance.restate import restate_performance
from loan_scoring.scoring.batch import plan_scoring, publish_scores, score_batch
from loan_scoring.scoring.mini_batch import score_mini_batch
from loan_scoring_web.pages.batch import read_batch_page

pytestmark = pytest.mark.integration

OLD, NEW = "2026-01-05", "2026-02-03"
TODAY = date(2026, 3, 2)
"""30 days after the last day of January."""
KEEP = 29
BY = "cli:tests"

DERIVED = {
    "batches": "t", "scoring_runs": "t", "models": "t", "promotions": "t", "outcomes": "t",
    "drift": "t", "distributions": "t", "performance": "t", "fairness": "t", "findings": "t",
    "quality": "t", "batch_health": "t", "slo": "t", "champions": "t", "open_alerts": "t",
    "performance_by_batch": "t",
}  # fmt: skip
"""Tables and views that retention does not change."""


@pytest.fixture(scope="module")
def nights_url(new_database: Callable[..., str], night_scored: str, drops: Replay) -> str:
    """Two nights in two months, scored and measured; the older one has outcomes."""
    url = new_database(template=night_scored)
    second = drops.batch_ids[1]
    with open_session("loan_default", url) as session:
        compare_batch(session, OLD)
        ingest_batch(session, NEW, drops.application_files[second])
        score_batch(session, NEW)
        compare_batch(session, NEW)
        take_outcomes(session, drops.outcome_files[0])
        restate_performance(session)
        ensure_partition(session.connection, "calls", OLD)
        with database.transaction(session.connection), session.connection.cursor() as cursor:
            cursor.execute(
                "insert into quarantine values (%s, 1, 999999, 'x', '{null_key:loan_id}'),"
                " (%s, 1, 999999, 'x', '{null_key:loan_id}')",
                (OLD, NEW),
            )
            # A small sample of loans may show a change, which is not the subject here.
            cursor.execute("update alerts set state = 'resolved'")
    return url


@pytest.fixture
def nights(
    new_database: Callable[..., str], nights_url: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Session]:  # fmt: skip
    """A session on a copy of that database, with landing files of its own."""
    folder = tmp_path / "data"
    for kind, name in (("landing/loan_default/applications", f"{OLD}.csv"),
                       ("landing/loan_default/applications", f"{NEW}.csv"),
                       ("landing/loan_default/outcomes", f"{OLD}.csv"),
                       ("landing/loan_default/outcomes", f"{NEW}.csv"),
                       ("quality/loan_default", f"{OLD}-r1.html")):  # fmt: skip
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / name).touch()
    (folder / "artifacts").symlink_to(settings.data_dir() / "artifacts")
    monkeypatch.setenv("LOAN_SCORING_DATA", str(folder))
    with open_session("loan_default", new_database(template=nights_url)) as session:
        yield session


def url_of(session: Session) -> str:
    known = session.connection.info
    return f"postgresql://{known.user}:{known.password}@{known.host}:{known.port}/{known.dbname}"


def ask(session: Session, query: str) -> list:
    return database.select_read_only(session.connection, query)[1]


def partitions_of(session: Session) -> set[str]:
    query = "select relname from pg_class where relispartition and relkind = 'r'"
    return {row[0] for row in ask(session, query)}


def test_months_that_are_old_go_and_all_else_stays(nights: Session, digests) -> None:
    before, tables = digests(nights, DERIVED), partitions_of(nights)
    new = digests(nights, {f"(select * from current_scores where batch_id = '{NEW}')": "t"})
    dropped = drop_expired(nights, KEEP, BY, TODAY)
    assert [(each.partition, each.rows, each.quarantined) for each in dropped] == [
        ("scores_2026_01", 1000, 0),
        ("calls_2026_01", 0, 0),
        ("applications_2026_01", 1000, 1),
    ]
    assert tables - partitions_of(nights) == {each.partition for each in dropped}
    assert "applications_history" in partitions_of(nights)
    assert digests(nights, DERIVED) == before
    assert digests(nights, {f"(select * from current_scores where batch_id = '{NEW}')": "t"}) == new
    assert ask(nights, "select distinct batch_id from current_scores") == [[NEW]]
    assert ask(nights, "select batch_id from quarantine where line_number = 999999") == [[NEW]]
    assert ask(
        nights,
        "select partition, table_name, month, rows, bytes > 0, keep_days, dropped_by"
        " from dropped_partitions order by dropped_at",
    ) == [[each.partition, each.table, "2026-01", each.rows, True, KEEP, BY] for each in dropped]
    entries = audit.recent_entries(nights, limit=3)
    assert [(each["action"], each["subject"], each["done_by"]) for each in entries] == [
        ("partition.drop", each.partition, BY) for each in dropped[::-1]
    ]
    assert audit.verify_chain(nights).faults == []
    assert drop_expired(nights, KEEP, BY, TODAY) == []


@pytest.mark.parametrize(
    ("today", "keep_days", "goes"),
    [
        (date(2026, 3, 2), 30, False),  # 31 January is 30 days ago: not more
        (date(2026, 3, 2), 29, True),
        (date(2026, 2, 1), 1, False),
        (date(2026, 2, 2), 1, True),
    ],
)
def test_a_month_goes_when_its_last_day_is_older(
    nights: Session, today: date, keep_days: int, goes: bool
) -> None:
    found = {each.month for each in expired_months(nights, keep_days, today)}
    assert found == ({"2026-01"} if goes else set())


@pytest.mark.attack
def test_a_clock_that_is_months_ahead_of_the_newest_batch_drops_nothing(nights: Session) -> None:
    """The nights of this file are months old, as they are for a clock that jumped."""
    before, clock = partitions_of(nights), datetime.now(UTC).date()
    with pytest.raises(StateError) as refused:
        drop_expired(nights, KEEP, BY)
    told = str(refused.value)
    assert f"the clock says {clock}, and the newest batch of loan_default is {NEW}" in told
    assert f"{(clock - date.fromisoformat(NEW)).days} days before" in told
    assert f"--today {clock}" in told
    assert partitions_of(nights) == before
    for days, refuses in ((MOST_DAYS_AHEAD + 1, True), (MOST_DAYS_AHEAD, False)):
        with database.transaction(nights.connection), nights.connection.cursor() as cursor:
            cursor.execute(
                "insert into batches (batch_id, revision, source, sha256, state, received,"
                " accepted, quarantined) values (%s, 1, 'x', 'x', 'published', 0, 0, 0)",
                ((clock - timedelta(days=days)).isoformat(),),
            )
        if refuses:
            with pytest.raises(StateError, match=f"{days} days before"):
                expired_months(nights, KEEP)
        else:
            assert {each.month for each in expired_months(nights, KEEP)} >= {OLD[:7]}


def test_months_that_training_needs_stay(nights: Session) -> None:
    with database.transaction(nights.connection), nights.connection.cursor() as cursor:
        cursor.execute(
            "insert into alerts (scoring_run_id, batch_id, last_batch_id, severity, kind, subject,"
            " message, evidence) select scoring_run_id, batch_id, batch_id, 'warning',"
            " 'population', 'x', 'x', '{}' from scoring_runs where batch_id = %s",
            (OLD,),
        )
    kept = drop_expired(nights, KEEP, BY, TODAY)
    why = f"an open alert reports a change since {OLD}, and training needs its loans"
    assert {each.table: each.kept_for for each in kept} == {
        "scores": why, "applications": why, "calls": None,
    }  # fmt: skip
    assert "scores_2026_01" in partitions_of(nights)


def test_too_little_left_to_train_on_is_refused(nights: Session) -> None:
    with database.transaction(nights.connection), nights.connection.cursor() as cursor:
        cursor.execute("update batches set is_current = false where batch_id = 'history'")
    with pytest.raises(StateError, match=r"training has \d+ labelled loans, .* requires 1000"):
        drop_expired(nights, KEEP, BY, TODAY)
    assert ask(nights, "select * from dropped_partitions") == []


def test_work_on_a_dropped_batch_is_refused_in_one_line(
    nights: Session, drops: Replay, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = ask(nights, f"select scoring_run_id from scoring_runs where batch_id = '{OLD}'")[0][0]
    drop_expired(nights, KEEP, BY, TODAY)
    file = drops.application_files[OLD]
    for work in (
        lambda: land_batch(nights, OLD, file),
        lambda: find_applications_file(nights, OLD),
        lambda: plan_scoring(nights, OLD),
        lambda: score_mini_batch(nights, run_id, 0),
        lambda: publish_scores(nights, run_id),
        lambda: compare_batch(nights, OLD),
        lambda: read_queue(nights, OLD),
        lambda: list_scores(nights, run_id),
        # A batch of the same month that never arrived: nothing is left to compare it with.
        lambda: land_batch(nights, "2026-01-31", file),
    ):
        with pytest.raises(
            GoneError, match=rf"{BY} dropped the scores and applications of 2026-01"
        ):
            work()
        nights.connection.rollback()
    assert "scores_2026_01" not in partitions_of(nights)
    capsys.readouterr()
    assert main(["score", "--batch", OLD, "--database", url_of(nights)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_waiting_writer_does_not_create_the_partition_again(nights: Session) -> None:
    drop_expired(nights, KEEP, BY, TODAY)
    with (
        pytest.raises(psycopg2.errors.RaiseException, match="retention has dropped scores_2026_01"),
        database.transaction(nights.connection),
        nights.connection.cursor() as cursor,
    ):
        cursor.execute("select create_partition('scores', %s)", (OLD,))


def test_page_of_a_dropped_batch_shows_that_it_was_dropped(nights: Session) -> None:
    assert read_batch_page(nights, OLD)["gone"] == []
    drop_expired(nights, KEEP, BY, TODAY)
    shown = read_batch_page(nights, OLD)
    assert [row["table_name"] for row in shown["gone"]] == ["scores", "applications"]
    assert shown["night"]["accepted"] == 1000
    assert shown["features"]
    assert read_batch_page(nights, NEW)["gone"] == []


def test_outcomes_restate_kept_batches_and_leave_dropped_ones(
    nights: Session, drops: Replay, digests, tmp_path: Path
) -> None:
    old = {f"(select * from performance where scoring_run_id like '{OLD}%')": "t"}
    before = digests(nights, old)
    assert restate_performance(nights) == []
    drop_expired(nights, KEEP, BY, TODAY)
    assert restate_performance(nights) == []
    first, second = (each.read_text() for each in drops.outcome_files[:2])
    again = tmp_path / "2026-02-05.csv"
    again.write_text(first + "\n")  # a file that repeats known outcomes of dropped loans
    assert take_outcomes(nights, again).quarantined == 0
    later = tmp_path / "2026-02-06.csv"
    later.write_text(second.replace("2026-01-09", "2026-02-06"))
    assert take_outcomes(nights, later).quarantined == 0
    assert [each[:10] for each in restate_performance(nights)] == [NEW]
    assert restate_performance(nights) == []
    assert digests(nights, old) == before


def test_sums_over_nights_outlive_the_rows_of_dropped_nights(
    nights: Session, drops: Replay, digests, tmp_path: Path
) -> None:
    later = tmp_path / "2026-02-06.csv"
    later.write_text(drops.outcome_files[1].read_text().replace("2026-01-09", "2026-02-06"))
    take_outcomes(nights, later)
    assert len(restate_performance(nights)) == 1
    kept = {"performance": "t", "outcome_sums": "t", "drift": "t"}
    before = digests(nights, kept)
    drop_expired(nights, KEEP, BY, TODAY)
    assert restate_performance(nights) == []
    compare_batch(nights, NEW)
    assert restate_performance(nights) == []
    assert digests(nights, kept) == before


def test_the_next_night_is_scored_and_measured(nights: Session, drops: Replay) -> None:
    drop_expired(nights, KEEP, BY, TODAY)
    ingest_batch(nights, "2026-03-01", drops.application_files[drops.batch_ids[2]])
    score_batch(nights, "2026-03-01")
    assert compare_batch(nights, "2026-03-01")["applications"] == 1000


@pytest.mark.attack
def test_refused_rows_of_outcome_files_go_with_their_month(nights: Session) -> None:
    with database.transaction(nights.connection), nights.connection.cursor() as cursor:
        cursor.execute(
            "insert into quarantine select 'outcomes-' || day, 1, 2, 'x', '{unknown_loan}'"
            " from unnest(%s) as day",
            ([OLD, NEW, "history"],),
        )
    drop_expired(nights, KEEP, BY, TODAY)
    query = "select batch_id from quarantine where batch_id like 'outcomes-%' order by 1"
    assert ask(nights, query) == [[f"outcomes-{NEW}"], ["outcomes-history"]]


@pytest.mark.attack
def test_baselines_of_unused_models_and_left_training_files_expire(
    nights: Session, tmp_path: Path
) -> None:
    folder = settings.data_dir() / "artifacts"
    own = tmp_path / "artifacts"
    shutil.copytree(folder, own)
    folder.unlink()
    own.rename(folder)
    places = folder / "loan_default"
    (name,) = ask(nights, "select baseline_artifact from models where kind = 'propensity'")[0]
    for path in places.glob("baseline-*.parquet"):
        if path.name != name:
            path.unlink()  # another test file's model, which this database does not hold
    later = datetime.now(UTC).date() + timedelta(days=60)
    assert expire_baselines(nights, KEEP, BY, later) == []  # the champion keeps its sample
    with database.transaction(nights.connection), nights.connection.cursor() as cursor:
        cursor.execute(
            "insert into models select (jsonb_populate_record(m, jsonb_build_object("
            "'model_version', 'propensity-9', 'number', 9, 'fingerprint', 'x',"
            " 'baseline_artifact', 'baseline-x.parquet'))).* from models as m"
            " where kind = 'propensity'"
        )
    for left in ("baseline-x.parquet", "training-x.parquet"):
        (places / left).write_bytes(b"x")
    assert remove_expired_files(nights, KEEP) == []
    assert expire_baselines(nights, KEEP, BY, later) == ["propensity-9"]
    removed = {path.name for path in remove_expired_files(nights, KEEP, later)}
    assert removed == {"baseline-x.parquet", "training-x.parquet"}
    assert (places / name).is_file()


@pytest.mark.attack
def test_files_of_dropped_nights_are_removed(nights: Session) -> None:
    assert remove_expired_files(nights, KEEP) == []
    drop_expired(nights, KEEP, BY, TODAY)
    removed = [path.name for path in remove_expired_files(nights, KEEP)]
    assert removed == [f"{OLD}.csv", f"{OLD}.csv", f"{OLD}-r1.html"]
    assert remove_expired_files(nights, KEEP) == []
    assert [p.name for p in find_landed_files(nights.contract, "applications", NEW)] == [
        f"{NEW}.csv"
    ]


def test_a_kill_at_any_statement_and_a_rerun_end_the_same(
    nights_url: str, new_database: Callable[..., str], spawn: Spawn, digests
) -> None:
    tables = DERIVED | {
        "dropped_partitions": "t.partition, t.rows, t.keep_days, t.dropped_by",
        "audit_log": "t.entry_id, t.action, t.subject, t.details",
        "quarantine": "t", "current_scores": "t", "current_applications": "t",
    }  # fmt: skip

    def end(url: str) -> tuple:
        with open_session("loan_default", url) as session:
            return digests(session, tables), partitions_of(session)

    undisturbed = new_database(template=nights_url)
    child = spawn(drop_as_child, undisturbed)
    child.go("step by step")
    steps = len(list(child.steps()))
    assert child.end() == 0
    wanted = end(undisturbed)
    assert steps > 20
    for step in range(3, steps, max(1, steps // 12)):
        url = new_database(template=nights_url)
        killed = spawn(drop_as_child, url)
        killed.go("step by step")
        killed.kill_in(step, 0.02)
        again = spawn(drop_as_child, url)
        again.go()
        assert again.end() == 0, again.errors()
        assert end(url) == wanted, step


def drop_as_child(url: str) -> None:
    with open_session("loan_default", url) as session:
        drop_expired(session, KEEP, BY, TODAY)


def test_a_night_that_runs_meanwhile_is_not_held_up(
    nights: Session, spawn: Spawn, drops: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader holds the tables while retention tries; the night runs at the same time."""
    monkeypatch.setattr(database_retention, "PAUSE_SECONDS", 0.2)
    ingest_batch(nights, "2026-03-01", drops.application_files[drops.batch_ids[2]])
    with closing(database.connect_beside(nights.connection)) as reader, reader.cursor() as cursor:
        cursor.execute("select count(*) from scores")
        child = spawn(drop_as_child, url_of(nights))
        child.go()
        for _ in child.steps():
            if ask(nights, "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
                           " and query like 'LOCK TABLE ONLY%'") == [[1]]:  # fmt: skip
                break
        score_batch(nights, "2026-03-01")
        assert ask(nights, "select count(*) from dropped_partitions") == [[0]]
        reader.commit()
    assert child.end() == 0, child.errors()
    assert ask(nights, "select count(*) from dropped_partitions") == [[3]]
    assert ask(nights, "select batch_id, count(*) from current_scores group by 1 order by 1") == [
        [NEW, 1000],
        ["2026-03-01", 1000],
    ]


def test_a_table_in_use_all_the_time_ends_it_in_one_line(
    nights: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_retention, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(database_retention, "LOCK_MILLISECONDS", 100)
    with closing(database.connect_beside(nights.connection)) as reader, reader.cursor() as cursor:
        cursor.execute("select count(*) from scores")
        with pytest.raises(BusyError, match=r"scores has been in use for 0\.3 s"):
            drop_expired(nights, KEEP, BY, TODAY, patience=0.3)


def test_an_auditor_still_finds_who_promoted_what_on_which_evidence(nights: Session) -> None:
    query = """
        select r.batch_id, r.scored, r.referred, b.sha256, m.model_version, m.artifact_sha256,
               p.decided_by, p.evidence
        from scoring_runs r join batches b using (batch_id, revision)
        join models m on m.model_version = r.propensity_version
        join promotions p on p.model_version = m.model_version
        order by 1
    """
    before = ask(nights, query)
    assert {row[0] for row in before} == {OLD, NEW}
    drop_expired(nights, KEEP, BY, TODAY)
    assert ask(nights, query) == before


def test_on_the_command_line(nights: Session, capsys: pytest.CaptureFixture[str]) -> None:
    url = url_of(nights)
    assert main(["retention", "--database", url]) == 1
    assert "sets no retention; give --keep-days" in capsys.readouterr().err
    assert main(["retention", "--keep-days", "0", "--database", url]) == 1
    capsys.readouterr()
    assert main(["retention", "--keep-days", "1", "--database", url]) == 1
    assert "the clock says" in capsys.readouterr().err
    today = ["--today", "2026-07-01"]
    assert main(["retention", "--keep-days", "1", "--dry-run", *today, "--database", url]) == 0
    dry = capsys.readouterr().out
    assert "would drop scores_2026_01: 1,000 rows" in dry
    assert "scores_2026_01" in partitions_of(nights)
    assert main(["retention", "--keep-days", "1", *today, "--database", url]) == 0
    assert "dropped scores_2026_01: 1,000 rows" in capsys.readouterr().out
    assert ask(nights, "select distinct dropped_by like 'cli:%' from dropped_partitions") == [
        [True]
    ]
    loan = ask(nights, "select min(loan_id) from outcomes")[0][0]
    capsys.readouterr()
    assert main(["loan", str(loan), "--database", url]) == 1
    assert "retention has dropped" in capsys.readouterr().err
