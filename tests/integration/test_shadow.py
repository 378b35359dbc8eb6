"""A challenger scores nights beside the champion, unseen, and is promoted on that evidence."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg2
import pytest
import yaml
from scipy.stats import norm
from sklearn.metrics import log_loss, roc_auc_score

from loan_scoring import database
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcomes import Declaration, take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.models import registry
from loan_scoring.models.promotion.decide import (
    judge_and_promote,
    promote_by_hand,
    rollback_champions,
)
from loan_scoring.models.promotion.shadows import begin_shadow, open_shadow, reconcile_shadow
from loan_scoring.models.waiting import waiting_model
from loan_scoring.monitoring.performance.restate import restate_performance
from loan_scoring.monitoring.shadow.judge import advance, judge_shadow
from loan_scoring.monitoring.shadow.nights import compare_night, refresh_nights, refresh_or_warn
from loan_scoring.scoring.batch import publish_scores, score_batch
from loan_scoring.scoring.mini_batch import score_mini_batch
from loan_scoring.scoring.shadow import plan_shadow, score_shadow

pytestmark = pytest.mark.integration
NIGHTS = ["2026-01-05", "2026-01-06"]
WEAK = ["income_usd_per_month", "term_months"]


def select(session: Session, query: str) -> list[list[Any]]:
    return database.select_read_only(session.connection, query)[1]


@pytest.fixture
def portfolios(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Return a function that sets fields of `promotion` beside lenient gates."""

    def write(**promotion: Any) -> None:
        raw = yaml.safe_load((folders / "portfolios" / "loan_default.yaml").read_text())
        wide = {"approval_rate": 0.9, "mean_probability": 0.9}
        raw["promotion"] |= {"calibration_slope": [0.1, 10], "challenger_limits": wide}
        raw["promotion"] |= promotion
        raw["promotion"]["calibration_in_the_large"] = {"points": 0.9, "relative": 9}
        raw["promotion"]["fairness"]["min_ratio"] = 0.01
        raw["scoring"]["mini_batch_rows"] = 400
        (tmp_path / "loan_default.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))

    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    write(shadow_nights=2)
    return write


@pytest.fixture
def watched(
    portfolios: Callable[..., None], ready: Session, ready_url: str, challenge: Callable
) -> Iterator[tuple[Session, dict[str, str]]]:
    """A session with a weak champion and a strong challenger that waits to be judged."""
    weak = challenge("weak", WEAK, max_iter=10)
    with open_session("loan_default", ready_url) as session:
        promote_by_hand(session, weak["propensity"], "cli:tests", "a weak champion")
        yield session, challenge("strong", max_bins=200)


def night(session: Session, drops: Replay, batch_id: str) -> str | None:
    """Score a night, and its shadow. Return the id of the shadow's run."""
    known = select(session, f"select 1 from batches where batch_id = '{batch_id}'")
    if not known:
        ingest_batch(session, batch_id, drops.application_files[batch_id])
    score_batch(session, batch_id)
    run_id = score_shadow(session, batch_id)
    if run_id is not None:
        compare_night(session, run_id)
    return run_id


def outcomes_of(session: Session, drops: Replay) -> None:
    """Take in the outcomes of the first night, and measure what they show."""
    take_outcomes(session, drops.outcome_files[0], Declaration("cli:tests"))
    restate_performance(session)


def test_challenger_is_promoted_after_its_nights(watched, drops: Replay) -> None:
    session, strong = watched
    assert judge_and_promote(session, strong)[0] == "shadow"
    assert registry.champion_version(session, "propensity") == "propensity-2"
    assert waiting_model(session) is None
    night(session, drops, NIGHTS[0])
    assert judge_shadow(session, NIGHTS[0]) == {"verdict": "watching"}
    night(session, drops, NIGHTS[1])
    case = judge_shadow(session, NIGHTS[1])
    assert case["verdict"] == "promoted"
    gate = case["evidence"]["gates"][-1]
    assert gate["gate"] == "beside_champion"
    assert gate["figures"]["loans"] == 2000
    assert gate["figures"]["nights"] == 2
    assert "outcomes are not known yet" in gate["sentence"]
    assert registry.champion_version(session, "propensity") == strong["propensity"]
    [[occasion, by]] = select(
        session,
        "select occasion, decided_by from promotions where model_version = 'propensity-3'",
    )
    assert (occasion, by) == ("shadow", "policy:auto")
    assert open_shadow(session) is None
    assert judge_shadow(session, NIGHTS[1]) == {"verdict": "none"}
    assert night(session, drops, NIGHTS[1]) is None


def test_without_shadow_nights_a_challenger_is_promoted_at_once(
    portfolios: Callable, watched, ready_url: str
) -> None:
    portfolios(shadow_nights=0)
    with open_session("loan_default", ready_url) as session:
        assert judge_and_promote(session, watched[1])[0] == "promoted"
        with pytest.raises(StateError, match=r"set promotion\.shadow_nights"):
            begin_shadow(session, watched[1], "cli:ann")


READERS = """
    select c.relname, a.attname
    from pg_class as c join pg_attribute as a on a.attrelid = c.oid
    where c.relnamespace = current_schema()::regnamespace and c.relkind = 'v'
      and a.attname in ('scoring_run_id', 'propensity_version', 'model_version')
      and c.relname not in ('shadow_comparison', 'champions')
"""


def test_challenger_that_was_trained_after_a_change_is_promoted_at_once(
    watched, drops: Replay
) -> None:
    session, strong = watched
    night(session, drops, NIGHTS[0])
    outcomes_of(session, drops)
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute(
            "update models set training_data = training_data || jsonb_build_object('since', %s)"
            " where model_version = %s",
            (NIGHTS[0], strong["propensity"]),
        )
    assert judge_and_promote(session, strong)[0] == "promoted"
    assert open_shadow(session) is None


def test_shadow_is_in_no_view_of_readers_and_in_no_table_of_scores(watched, drops: Replay) -> None:
    session, strong = watched
    ingest_batch(session, NIGHTS[0], drops.application_files[NIGHTS[0]])
    run = score_batch(session, NIGHTS[0])
    tables = [*select(session, READERS), ["scores", "scoring_run_id"], ["drift", "scoring_run_id"]]
    tables += [["performance", "scoring_run_id"], ["publications", "scoring_run_id"]]
    views = select(session, "select viewname from pg_views where schemaname = current_schema()")

    def seen() -> list[list[Any]]:
        return [
            select(session, f"select count(*), md5(string_agg(v::text, '|' order by v::text))"
                            f" from {name} as v")
            for [name] in views
            if name != "shadow_comparison"
        ]  # fmt: skip

    before = seen()
    begin_shadow(session, strong, "cli:ann")
    shadow_run = score_shadow(session, NIGHTS[0])
    assert shadow_run is not None
    compare_night(session, shadow_run)
    assert seen() == before
    for table, column in tables:
        values = {value for [value] in select(session, f"select distinct {column} from {table}")}
        assert not values & {shadow_run, strong["propensity"]}, table
    with pytest.raises(StateError, match=r"is a shadow of .*, so it is never published"):
        publish_scores(session, shadow_run)
    [[kind, state, is_current, beside]] = select(
        session,
        "select run_kind, state, is_current, beside from scoring_runs"
        f" where scoring_run_id = '{shadow_run}'",
    )
    assert (kind, state, is_current, beside) == ("shadow", "planned", False, run)
    with (
        pytest.raises(
            psycopg2.errors.CheckViolation, match="is a shadow, which is never published"
        ),
        database.transaction(session.connection),
    ):
        database.rows(
            session.connection,
            "publish_run",
            scoring_run_id=shadow_run,
            published_by="cli:tests",
            is_asked_for=True,
        )
    same = """
        select count(*) from mini_batches as m join mini_batches as n
        using (mini_batch, first_loan_id, last_loan_id, applications)
        where m.scoring_run_id = '{}' and n.scoring_run_id = '{}'
    """
    assert select(session, same.format(run, shadow_run)) == [[3]]


def test_shadow_has_the_columns_of_scores(ready: Session) -> None:
    columns = "select attname, atttypid::regtype::text from pg_attribute where attnum > 0" \
        " and not attisdropped and attrelid = '{}'::regclass order by attname"  # fmt: skip
    assert select(ready, columns.format("scores")) == select(ready, columns.format("shadow_scores"))


def test_figures_of_a_night_are_those_of_independent_code(watched, drops: Replay) -> None:
    session, strong = watched
    begin_shadow(session, strong, "cli:ann")
    run_id = night(session, drops, NIGHTS[0])
    assert refresh_nights(session) == []
    outcomes_of(session, drops)
    assert refresh_nights(session) == [NIGHTS[0]]
    assert refresh_nights(session) == []
    rows = select(
        session,
        "select c.decision, n.decision, c.default_probability, n.default_probability,"
        " o.is_default::int from current_scores as c join shadow_scores as n using (loan_id)"
        f" left join outcomes as o using (loan_id) where c.batch_id = '{NIGHTS[0]}'"
        f" and n.scoring_run_id = '{run_id}'",
    )
    [found] = database.rows(
        session.connection, "select_shadow_nights", model_version=strong["propensity"]
    )
    assert found["loans"] == len(rows) == 1000
    assert found["agreed"] == sum(ours == theirs for theirs, ours, *_ in rows)
    assert found["comes_in"] == sum(o == "approve" != t for t, o, *_ in rows)
    assert found["goes_out"] == sum(t == "approve" != o for t, o, *_ in rows)
    assert 0 < found["agreed"] < 1000
    assert sum(loans for *_, loans in found["decisions"]) == 1000
    assert found["agreed"] == sum(n for t, o, n in found["decisions"] if t == o)
    both = [row for row in rows if row[2] is not None and row[3] is not None]
    theirs, own = (np.array([row[place] for row in both]) for place in (2, 3))
    assert found["mean_probability"] == pytest.approx(own.mean())
    edges = np.quantile(theirs, np.arange(1, 10) / 10)
    old, new = (
        (np.histogram(each, [-1, *edges - 1e-15, 2])[0] + 0.5) / (len(both) + 5)
        for each in (theirs, own)
    )
    assert found["psi"] == pytest.approx(float(((new - old) * np.log(new / old)).sum()), rel=0.05)
    y = np.array([row[4] for row in both], dtype=float)
    known = ~np.isnan(y)
    assert found["outcomes"] == known.sum()
    assert found["outcomes"] > 800
    y, theirs, own = y[known], theirs[known], own[known]
    assert found["auc"] == pytest.approx(roc_auc_score(y, own))
    assert found["champion_auc"] == pytest.approx(roc_auc_score(y, theirs))
    difference = roc_auc_score(y, own) - roc_auc_score(y, theirs)
    assert found["auc_lower"] < difference < found["auc_upper"]
    assert found["log_loss_difference"] == pytest.approx(log_loss(y, own) - log_loss(y, theirs))
    losses = [-(y * np.log(p) + (1 - y) * np.log(1 - p)) for p in (own, theirs)]
    reach = norm.ppf(0.975) * np.std(losses[0] - losses[1], ddof=1) / len(y) ** 0.5
    assert found["log_loss_upper"] - found["log_loss_difference"] == pytest.approx(reach)


def test_killed_and_repeated_shadow_gives_the_same_rows(watched, drops: Replay) -> None:
    session, strong = watched
    begin_shadow(session, strong, "cli:ann")
    ingest_batch(session, NIGHTS[0], drops.application_files[NIGHTS[0]])
    score_batch(session, NIGHTS[0])
    planned = plan_shadow(session, NIGHTS[0])
    assert planned is not None
    score_mini_batch(session, planned.scoring_run_id, 1)
    with pytest.raises(StateError, match="not of the same loans"):
        compare_night(session, planned.scoring_run_id)
    assert plan_shadow(session, NIGHTS[0]) == planned
    for _ in range(2):
        score_shadow(session, NIGHTS[0])
        compare_night(session, planned.scoring_run_id)
    assert select(session, "select count(*), count(distinct loan_id) from shadow_scores") == [
        [1000, 1000]
    ]
    assert select(session, "select count(*) from shadow_nights") == [[1]]


def test_a_new_challenger_replaces_the_one_in_shadow(
    watched, challenge: Callable, drops: Replay
) -> None:
    session, strong = watched
    begin_shadow(session, strong, "cli:ann")
    assert not begin_shadow(session, strong, "cli:ann")
    night(session, drops, NIGHTS[0])
    newer = challenge("newer", max_bins=100)
    assert judge_and_promote(session, newer)[0] == "shadow"
    assert select(
        session, "select propensity_version, ended_as from shadows order by shadow_id"
    ) == [[strong["propensity"], "replaced"], [newer["propensity"], None]]
    night(session, drops, NIGHTS[1])
    assert judge_shadow(session, NIGHTS[1]) == {"verdict": "watching"}


def test_nights_beside_another_champion_do_not_count(watched, drops: Replay) -> None:
    session, strong = watched
    begin_shadow(session, strong, "cli:ann")
    night(session, drops, NIGHTS[0])
    rollback_champions(session, "cli:ann")  # propensity-1 is back
    found = reconcile_shadow(session)
    assert found is not None
    assert (found.champion, found.stage) == ("propensity-1", "shadow")
    night(session, drops, NIGHTS[1])
    assert judge_shadow(session, NIGHTS[1]) == {"verdict": "watching"}
    promote_by_hand(session, "propensity-2", "cli:ann", "it was not the cause")
    # The first night counts again, and the second was decided by the other champion.
    assert plan_shadow(session, NIGHTS[1]) is None
    assert judge_shadow(session, NIGHTS[1]) == {"verdict": "watching"}
    promote_by_hand(session, strong["propensity"], "cli:ann", "a drill")
    assert select(session, "select ended_as from shadows") == [["promoted"]]
    rollback_champions(session, "cli:ann")
    begin_shadow(session, strong, "cli:ann")
    assert judge_shadow(session, NIGHTS[1]) == {"verdict": "none"}  # a person rolled it back
    assert select(session, "select ended_as from shadows order by shadow_id") == [
        ["promoted"],
        ["withheld"],
    ]


def test_hold_asks_a_person_once_with_the_evidence(
    watched, drops: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, strong = watched
    monkeypatch.setenv("LOAN_SCORING_PROMOTION", "hold")
    assert judge_and_promote(session, strong)[0] == "shadow"
    for batch_id in NIGHTS:
        night(session, drops, batch_id)
    case = judge_shadow(session, NIGHTS[1])
    assert case["verdict"] == "held"
    assert judge_shadow(session, NIGHTS[1])["verdict"] == "held"  # the same task again
    night(session, drops, "2026-01-07")
    assert judge_shadow(session, "2026-01-07") == {"verdict": "watching"}
    assert registry.champion_version(session, "propensity") == "propensity-2"
    assert advance(session, case, "rejected", "airflow:ann", "not yet") == "rejected"
    assert select(session, "select ended_as, reason from shadows") == [["rejected", "not yet"]]


def test_rates_beyond_the_limits_speak_against_a_challenger(
    portfolios: Callable, watched, drops: Replay, ready_url: str
) -> None:
    portfolios(shadow_nights=1, challenger_limits={"approval_rate": 0.001})
    with open_session("loan_default", ready_url) as session:
        begin_shadow(session, watched[1], "cli:ann")
        night(session, drops, NIGHTS[0])
        case = judge_shadow(session, NIGHTS[0])
        assert case["verdict"] == "refused"
        outcomes_of(session, drops)
        begin_shadow(session, watched[1], "cli:ann")
        night(session, drops, NIGHTS[0])
        assert judge_shadow(session, NIGHTS[0])["verdict"] == "promoted"
    [failed] = [each for each in case["evidence"]["gates"] if not each["passed"]]
    assert failed["gate"] == "beside_champion"
    assert "approval rate" in failed["sentence"]
    assert "lies beyond 0.1%" in failed["sentence"]


def test_shadow_that_fails_opens_an_alert_and_nothing_else(
    watched, drops: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, strong = watched
    begin_shadow(session, strong, "cli:ann")
    night(session, drops, NIGHTS[0])
    outcomes_of(session, drops)
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute("delete from shadow_scores where loan_id in"
                       " (select loan_id from shadow_scores limit 1)")  # fmt: skip
    refresh_or_warn(session, NIGHTS[0])
    [[severity, subject, message]] = select(
        session, "select severity, subject, message from alerts where kind = 'failure'"
    )
    assert (severity, subject) == ("warning", "shadow")
    assert "not of the same loans" in message
