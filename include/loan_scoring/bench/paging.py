"""Time what each page reads and renders, with as many batches and scores as months bring.

The loans of the bench give one real night: a model is trained on them, and they are scored and
measured once. `layout.fill` then makes NIGHTS nights of LOANS_A_NIGHT applications and scores each,
and the real night's rows of drift, distributions, performance, fairness and quality are copied to
every one of them; causes and tasks are made up. Each page is read and rendered as the plugin does
it, over a new connection each time; HTTP and Airflow's check of rights come on top.
"""

import time
from collections.abc import Callable
from typing import Any

from psycopg2 import sql

from loan_scoring import alerts as causes
from loan_scoring import database, metrics, scoring
from loan_scoring import desk as queues
from loan_scoring.bench import layout
from loan_scoring.bench.loans import BenchLoans
from loan_scoring.bench.result import BenchResult, LimitedRatio, Measurement, median_seconds
from loan_scoring.bench.scoring_batch import replace_batch, train_bench_pair
from loan_scoring.desk import QueueFilter
from loan_scoring.pages import alerts, batch, desk, drift, models, operations, overview
from loan_scoring.pages.templating import render_template
from loan_scoring.session import Session, open_session

NIGHTS, LOANS_A_NIGHT = 100, 150_000
REPETITIONS = 9
LIMIT_SECONDS = 0.3
COPIED = ("drift", "distributions", "performance", "fairness")
COPY = """
INSERT INTO {table}
SELECT (jsonb_populate_record(t, jsonb_build_object('scoring_run_id', r.scoring_run_id))).*
FROM {table} AS t, scoring_runs AS r
WHERE t.scoring_run_id = %(run)s AND r.batch_id = ANY (%(nights)s)
ORDER BY r.batch_id
"""
MADE = """
INSERT INTO quality
SELECT (jsonb_populate_record(q, jsonb_build_object('batch_id', night, 'revision', 1))).*
FROM quality AS q, unnest(%(nights)s) AS night WHERE q.batch_id = %(real)s;
INSERT INTO findings
SELECT r.scoring_run_id, 'population', 'warning', ARRAY['made'], 'Made by the bench',
       '{"made": {"psi": 0.3, "tests": {}}}'
FROM scoring_runs AS r WHERE r.batch_id = ANY (%(nights)s) AND right(r.batch_id, 1) IN ('3', '4');
INSERT INTO task_metrics
SELECT 'scheduled__' || night, task, -1, night, 1000, 3, 0, 3e8::bigint, now(), now(), 0.5
FROM unnest(%(nights)s) AS night,
     unnest(ARRAY['ingest.land', 'ingest.check', 'ingest.publish', 'score.plan', 'score.score',
                  'score.publish', 'metrics.compare']) AS task
"""
USER = {
    "base": "/loan-scoring",
    "airflow": "",
    "portfolios": [],
    "user": "bench",
    "is_operator": True,
    "is_admin": True,
}

Page = tuple[str, Callable[[Session], dict[str, Any]]]
"""A template, and what reads its values."""


def bench_pages(
    loans: BenchLoans, url: str, nights: int = NIGHTS, loans_a_night: int = LOANS_A_NIGHT
) -> BenchResult:
    """Fill the database and measure each page."""
    with open_session(loans.contract.portfolio, url) as session:
        started = time.perf_counter()
        batch_ids = _make(session, loans, nights, loans_a_night)
        took = time.perf_counter() - started
        loan_id = _to_decide(session)
        pages: dict[str, Page] = {
            "portfolio": ("overview.html", overview.read_portfolio_page),
            "batches": ("batches.html", lambda s: batch.read_batches_page(s, None)),
            "batch": (
                "batch.html",
                lambda s: batch.read_batch_page(s, batch_ids[nights * 2 // 3]) or {},
            ),
            "drift, 30 nights": ("drift.html", lambda s: drift.read_drift_page(s, 30)),
            "alerts": ("alerts.html", alerts.read_alerts_page),
            "operations": ("operations.html", operations.read_operations_page),
            "models": ("models.html", lambda s: models.read_models_page(s, None, None)),
            "desk": (
                "desk.html",
                lambda s: desk.read_queue_page(s, batch_ids[-1], QueueFilter(), None),
            ),
            "application": (
                "desk_application.html",
                lambda s: desk.read_application_page(s, loan_id),
            ),
        }
        figures = [median_seconds(name, _times(url, session, page)) for name, page in pages.items()]
    ratios = [
        LimitedRatio(figure.name, figure.value, LIMIT_SECONDS, unit="s") for figure in figures
    ]
    made = Measurement("rows made in", took, "s", f"{nights} nights of {loans_a_night:,} scores")
    return BenchResult("pages", loans.source, nights * loans_a_night, [made, *figures], ratios)


def _make(session: Session, loans: BenchLoans, nights: int, loans_a_night: int) -> list[str]:
    """Fill the database; return the batch_ids of the made nights."""
    train_bench_pair(session, loans)
    replace_batch(session, loans.file)
    real = session.contract.replay.start
    run = scoring.score_batch(session, real)
    metrics.compare_batch(session, real)
    batch_ids = layout.fill_nights(session, nights, loans_a_night)
    values = {"run": run, "real": real, "nights": batch_ids}
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        for table in COPIED:
            cursor.execute(sql.SQL(COPY).format(table=sql.Identifier(table)), values)
        cursor.execute(MADE, values)
    causes.update_alerts(session)
    session.connection.autocommit = True
    with session.connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # what autovacuum does in a night
    session.connection.autocommit = False
    return batch_ids


def _to_decide(session: Session) -> Any:
    """Return a loan of the real night that is left to a person."""
    found = queues.read_queue(
        session, session.contract.replay.start, QueueFilter(decision="review")
    )
    return found.rows[0]["loan_id"]


def _times(url: str, session: Session, page: Page) -> list[float]:
    template, read = page
    found = []
    for turn in range(REPETITIONS + 1):
        started = time.perf_counter()
        connection = database.connect(session.contract.portfolio, url)
        try:
            values = read(Session(session.contract, connection))
        finally:
            connection.close()
        render_template(template, active="", portfolio=session.contract.portfolio, **USER, **values)
        if turn:  # the first one warms up
            found.append(time.perf_counter() - started)
    return found
