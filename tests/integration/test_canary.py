"""A canary decides its declared share of a night, and stops before the night is published."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from children import command, spawning
from test_shadow import NIGHTS, WEAK, outcomes_of, portfolios, select  # noqa: F401 - a fixture

from loan_scoring import database
from loan_scoring.database.session import Session, open_session
from loan_scoring.desk.application import read_application
from loan_scoring.errors import StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.withdrawal import restore_batch, withdraw_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models import registry
from loan_scoring.models.promotion.decide import promote_by_hand, rollback_champions
from loan_scoring.models.promotion.shadows import (
    begin_canary,
    begin_shadow,
    open_shadow,
    reconcile_shadow,
)
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.monitoring.shadow.judge import judge_shadow
from loan_scoring.monitoring.shadow.nights import compare_night
from loan_scoring.scoring.batch import (
    plan_scoring,
    publish_earlier_run,
    publish_scores,
    score_batch,
)
from loan_scoring.scoring.canary import canary_members
from loan_scoring.scoring.mini_batch import score_mini_batch
from loan_scoring.scoring.shadow import score_shadow

pytestmark = pytest.mark.integration
NIGHT = NIGHTS[0]
LIMITS = {"approval_rate": 0.9, "mean_probability": 0.9}
CANARY = {"shadow_nights": 1, "canary": {"share": 0.2, "nights": 1}, "challenger_limits": LIMITS}
BY_MODEL = """
    select propensity_version, personas_version, count(*) from current_scores
    where batch_id = '2026-01-05' group by 1, 2 order by 1
"""


@pytest.fixture
def canaried(
    portfolios: Callable[..., None],  # noqa: F811
    ready: Session,
    ready_url: str,
    challenge: Callable,
    drops: Replay,
) -> Iterator[Session]:
    """A session whose strong challenger is the canary, before the first night is scored."""
    portfolios(**CANARY)
    weak = challenge("weak", WEAK, max_iter=10)
    strong = challenge("strong", max_bins=200)
    with open_session("loan_default", ready_url) as session:
        promote_by_hand(session, weak["propensity"], "cli:tests", "a weak champion")
        ingest_batch(session, NIGHT, drops.application_files[NIGHT])
        begin_shadow(session, strong, "cli:ann")
        shadow = open_shadow(session)
        assert shadow is not None
        assert begin_canary(session, shadow, "cli:ann")
        yield session


def loan_ids(session: Session) -> list[Any]:
    return [
        loan
        for [loan] in select(
            session, f"select loan_id from applications where batch_id = '{NIGHT}' order by loan_id"
        )
    ]


def test_share_of_the_canary_reconciles_to_counts(canaried: Session) -> None:
    run_id = score_batch(canaried, NIGHT)
    [[canary]] = select(
        canaried, f"select canary from scoring_runs where scoring_run_id = '{run_id}'"
    )
    loans = loan_ids(canaried)
    chosen = canary_members(canary, pa.chunked_array([loans]))
    assert 140 < chosen.sum() < 260  # 20 % of 1,000, within five standard errors
    decided = select(
        canaried,
        "select loan_id from current_scores where propensity_version = 'propensity-3'"
        f" and batch_id = '{NIGHT}' order by loan_id",
    )
    assert [loan for [loan] in decided] == [
        loan for loan, is_in in zip(loans, chosen, strict=True) if is_in
    ]
    inside = int(chosen.sum())
    assert select(canaried, BY_MODEL) == [
        ["propensity-2", "personas-2", 1000 - inside],
        ["propensity-3", "personas-3", inside],
    ]
    # The champion's scores of the canary's loans are kept for comparison.
    assert select(
        canaried, "select propensity_version, count(*) from shadow_scores group by 1"
    ) == [["propensity-2", inside]]
    [found] = database.rows(
        canaried.connection, "select_canary_nights", model_version="propensity-3"
    )
    assert (found["loans"], found["decided"], found["stopped_by"]) == (inside, inside, None)
    [[approved, champions]] = select(
        canaried,
        "select avg((s.decision = 'approve')::int)::float,"
        " avg((c.decision = 'approve')::int)::float"
        " from scores as s join shadow_scores as c using (loan_id)"
        " where s.default_probability is not null and c.default_probability is not null",
    )
    assert found["approval_rate"] == pytest.approx(approved)
    assert found["champion_approval_rate"] == pytest.approx(champions)


def test_each_part_has_the_scores_of_its_model_alone(
    canaried: Session,
    ready_url: str,
    portfolios: Callable,  # noqa: F811
) -> None:
    score_batch(canaried, NIGHT)
    shadow = score_shadow(canaried, NIGHT)
    apart = f"""
        select count(*) filter (where s.default_probability is distinct from n.default_probability),
            count(*)
        from current_scores as s join shadow_scores as n using (loan_id)
        where s.propensity_version = 'propensity-3' and n.scoring_run_id = '{shadow}'
    """
    [[differ, loans]] = select(canaried, apart)
    assert (differ, loans > 100) == (0, True)
    assert shadow is not None
    compare_night(canaried, shadow)
    [night] = database.rows(
        canaried.connection, "select_shadow_nights", model_version="propensity-3"
    )
    canaried_matrix = night["decisions"]
    portfolios(shadow_nights=1, challenger_limits=LIMITS)  # no canary from now on
    rollback_champions(canaried, "cli:ann")
    promote_by_hand(canaried, "propensity-2", "cli:ann", "again")
    with open_session("loan_default", ready_url) as session:
        with database.transaction(session.connection), session.connection.cursor() as cursor:
            cursor.execute("update scoring_runs set state = 'planned', is_current = false,"
                           " published_at = null where canary is not null")  # fmt: skip
        run_id = score_batch(session, NIGHT)
        assert "canary" not in run_id
        [pure] = select(
            session,
            "select count(*), count(*) filter (where s.default_probability is distinct from"
            " c.default_probability) from current_scores as s join champion_scores as c"
            " using (loan_id) where c.scoring_run_id like '%-canary-%'",
        )
        assert pure == [1000, 0]
        begin_shadow(session, registry.fitted_pair(session, "propensity-3"), "cli:ann")
        shadow = score_shadow(session, NIGHT)
        assert shadow is not None
        compare_night(session, shadow)
        [night] = database.rows(
            session.connection, "select_shadow_nights", model_version="propensity-3"
        )
        assert night["decisions"] == canaried_matrix


def stopped(session: Session) -> None:
    """Score the night with limits so narrow that the canary stops, and check what is left."""
    run_id = score_batch(session, NIGHT)
    assert "canary" not in run_id
    assert select(session, BY_MODEL) == [["propensity-2", "personas-2", 1000]]
    assert select(
        session,
        "select count(*) from current_scores as s join champion_scores as c using (loan_id)"
        " where c.scoring_run_id like '%-canary-%' and"
        " s.default_probability is not distinct from c.default_probability",
    ) == [[1000]]
    [[ended_as, reason]] = select(session, "select ended_as, reason from shadows")
    assert ended_as == "stopped"
    [[severity, subject, message]] = select(
        session, "select severity, subject, message from alerts where kind = 'failure'"
    )
    assert (severity, subject) == ("warning", "canary")
    assert message.endswith(f"propensity-2 decided all loans: {reason}")
    assert select(session, "select count(*) from publications") == [[1]]
    assert select(
        session, "select sum(scored + referred), bool_and(state = 'scored') from mini_batches"
        f" where scoring_run_id = '{run_id}'",
    ) == [[1000, True]]  # fmt: skip


def test_canary_stops_before_the_night_is_published(
    canaried: Session,
    ready_url: str,
    portfolios: Callable,  # noqa: F811
) -> None:
    portfolios(**CANARY | {"challenger_limits": {"approval_rate": 0.001}})
    with open_session("loan_default", ready_url) as session:
        stopped(session)
        assert score_batch(session, NIGHT) == score_batch(session, NIGHT)
        [[run_id]] = select(
            session, "select scoring_run_id from scoring_runs where canary is not null"
        )
        publish_scores(session, run_id)  # the task is cleared: the champion's scores stay
        with pytest.raises(StateError, match="was stopped, so its scores were never published"):
            publish_earlier_run(session, NIGHT, run_id, "cli:ann")
        stopped(session)


def test_challenger_that_ended_meanwhile_decides_nothing(canaried: Session) -> None:
    planned = plan_scoring(canaried, NIGHT)
    for mini_batch in planned.mini_batches:
        score_mini_batch(canaried, planned.scoring_run_id, mini_batch)
    rollback_champions(canaried, "cli:ann")
    promote_by_hand(canaried, "propensity-3", "cli:ann", "a drill")
    rollback_champions(canaried, "cli:ann")
    publish_scores(canaried, planned.scoring_run_id)
    assert select(canaried, BY_MODEL) == [["propensity-2", "personas-2", 1000]]
    assert select(canaried, "select stopped_by from canary_nights") == [
        ["propensity-3 is a canary no more"]
    ]


def test_scoring_again_reproduces_the_split(canaried: Session) -> None:
    run_id = score_batch(canaried, NIGHT)
    seen = "select loan_id, propensity_version, default_probability from current_scores"
    before = select(canaried, f"{seen} order by loan_id")
    withdraw_batch(canaried, NIGHT, "cli:ann", "a drill")
    assert select(canaried, seen) == []
    restore_batch(canaried, NIGHT, "cli:ann", "it was right")
    assert select(canaried, f"{seen} order by loan_id") == before
    promote_by_hand(canaried, "propensity-3", "cli:ann", "a drill")
    other = score_batch(canaried, NIGHT)
    assert other != run_id
    assert select(canaried, f"{seen} order by loan_id") != before
    publish_earlier_run(canaried, NIGHT, run_id, "cli:ann")
    assert select(canaried, f"{seen} order by loan_id") == before
    rollback_champions(canaried, "cli:ann")
    assert score_batch(canaried, NIGHT) == run_id  # with the canary that it had
    assert select(canaried, f"{seen} order by loan_id") == before


def test_monitoring_measures_the_champion_on_all_loans(canaried: Session, drops: Replay) -> None:
    promote_by_hand(canaried, "propensity-1", "cli:ann", "a champion with a baseline")
    shadow = reconcile_shadow(canaried)
    assert shadow is not None
    assert shadow.stage == "shadow"  # another champion: it starts again
    begin_canary(canaried, shadow, "cli:ann")
    score_batch(canaried, NIGHT)
    compare_batch(canaried, NIGHT)
    outcomes_of(canaried, drops)
    figures = """
        select metric, value, loans from performance
        where segment = 'all' and basis = 'realised' and metric in ('auc', 'default_rate')
    """
    measured = {metric: (value, loans) for metric, value, loans in select(canaried, figures)}
    rows = select(
        canaried,
        "select c.default_probability, o.is_default::int from champion_scores as c"
        " join outcomes as o using (loan_id) where c.default_probability is not null",
    )
    assert measured["default_rate"][1] == len(rows)
    from sklearn.metrics import roc_auc_score

    assert measured["auc"][0] == pytest.approx(
        roc_auc_score([y for _, y in rows], [p for p, _ in rows])
    )
    from loan_scoring.monitoring.performance.restate import restate_performance

    assert restate_performance(canaried) == []  # nothing is out of date for ever


def test_loan_record_and_desk_name_the_canary(
    canaried: Session, capsys: pytest.CaptureFixture[str], ready_url: str
) -> None:
    score_batch(canaried, NIGHT)
    [[loan]] = select(
        canaried,
        "select loan_id from current_scores where propensity_version = 'propensity-3'"
        " and decision = 'review' order by loan_id limit 1",
    )
    [record] = database.rows(canaried.connection, "select_loan_record", loan_id=str(loan))
    assert record["propensity_version"] == "propensity-3"
    assert record["promotion_id"] is None
    from loan_scoring.cli.records import _promoted_text

    assert _promoted_text(record) == (
        "canary       it decided 20% of the loans beside the champion"
    )
    shown = read_application(canaried, str(loan))
    assert shown.unexplained is None
    assert shown.score["propensity_version"] == "propensity-3"


def test_canary_is_promoted_after_its_nights(canaried: Session) -> None:
    score_batch(canaried, NIGHT)
    shadow = score_shadow(canaried, NIGHT)
    assert shadow is not None
    compare_night(canaried, shadow)
    case = judge_shadow(canaried, NIGHT)
    assert case["verdict"] == "promoted"
    assert case["evidence"]["shadow"]["stage"] == "canary"


def test_shadow_becomes_a_canary_first(
    canaried: Session, ready_url: str, challenge: Callable
) -> None:
    newer = challenge("newer", max_bins=100)
    begin_shadow(canaried, newer, "cli:ann")
    run_id = score_batch(canaried, NIGHT)
    assert "canary" not in run_id
    shadow = score_shadow(canaried, NIGHT)
    assert shadow is not None
    compare_night(canaried, shadow)
    assert judge_shadow(canaried, NIGHT)["verdict"] == "canary"
    assert judge_shadow(canaried, NIGHT)["verdict"] == "watching"
    assert registry.champion_version(canaried, "propensity") == "propensity-2"


@pytest.mark.parametrize("is_stopped", [False, True])
def test_two_at_once_and_kills_give_the_rows_of_one_run(
    canaried: Session,
    ready: Session,
    ready_url: str,
    portfolios: Callable,  # noqa: F811
    tmp_path: Path,
    new_database: Callable[..., str],
    is_stopped: bool,
) -> None:
    if is_stopped:
        portfolios(**CANARY | {"challenger_limits": {"approval_rate": 0.001}})
    for session in (canaried, ready):  # a database with a session cannot be copied
        session.connection.close()
    rows = """
        select loan_id, propensity_version, default_probability, mini_batch from current_scores
        order by loan_id
    """

    def undisturbed() -> list[list[Any]]:
        with open_session("loan_default", new_database(template=ready_url)) as session:
            score_batch(session, NIGHT)
            return select(session, rows)

    expected = undisturbed()
    with spawning(tmp_path) as spawn:
        for step in itertools.chain(range(4, 60, 14)):
            url = new_database(template=ready_url)
            killed = spawn(command, url, "score", "--batch", NIGHT, "--json")
            killed.go("step by step")
            killed.kill_in(step, 0)
            both = [spawn(command, url, "score", "--batch", NIGHT, "--json") for _ in range(2)]
            for child in both:
                child.go()
            assert [child.end() for child in both] == [0, 0], [each.errors() for each in both]
            with open_session("loan_default", url) as session:
                assert select(session, rows) == expected
                assert select(session, "select count(*) from canary_nights") == [[1]]
