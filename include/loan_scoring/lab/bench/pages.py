"""Benchmark the pages: read and render each page on a database with months of nights.

The loans of the benchmark form one real night. Models are trained on these loans. Then the loans
are scored and compared with the baseline. `fill_nights` generates NIGHTS more nights, each with
LOANS_A_NIGHT applications and scores, and before them a year's other nights with FEW loans each.
Each generated night gets a copy of the real night's rows of
tables `drift`, `distributions`, `performance`, `fairness` and `quality`. The rows of tables
`findings` and `task_metrics` are invented.

Each page is read and rendered as in the plugin, with a new connection each time. The measured time
does not include HTTP and Airflow's check of permissions.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from psycopg2 import sql

from loan_scoring import database
from loan_scoring.database.session import Session, open_session
from loan_scoring.desk.queue import QueueFilter, current_run, read_queue
from loan_scoring.lab.bench.loans import BenchLoans
from loan_scoring.lab.bench.nights import FIRST_NIGHT, fill_nights
from loan_scoring.lab.bench.result import BenchResult, LimitedRatio, Measurement, median_seconds
from loan_scoring.lab.bench.score import replace_batch, train_bench_pair
from loan_scoring.monitoring.alerts.store import update_alerts
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.scoring.batch import score_batch
from loan_scoring.scoring.queue import fill_queue
from loan_scoring_web.forms import QueueQuery
from loan_scoring_web.pages.alerts import read_alerts_page
from loan_scoring_web.pages.application import read_application_page
from loan_scoring_web.pages.batch import read_batch_page
from loan_scoring_web.pages.batches import read_batches_page
from loan_scoring_web.pages.deciding import read_deciding
from loan_scoring_web.pages.drift import read_drift_page
from loan_scoring_web.pages.models import read_models_page
from loan_scoring_web.pages.operations import read_operations_page
from loan_scoring_web.pages.overview import read_portfolio_page
from loan_scoring_web.pages.queue import read_queue_page
from loan_scoring_web.pages.templating import render_template
from loan_scoring_web.pages.timeline import read_timeline_page
from loan_scoring_web.story_forms import TimelineQuery

NIGHTS, LOANS_A_NIGHT = 100, 150_000
YEAR, FEW = 366, 20
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
INVENTED = """
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
    "me": "airflow:bench",
    "may_promote": True,
    "failed_tries": 0,
}

Page = tuple[str, Callable[[Session], dict[str, Any]]]
"""The name of a template, and the function that reads the values of this template."""


def bench_pages(
    loans: BenchLoans, url: str, nights: int = NIGHTS, loans_a_night: int = LOANS_A_NIGHT
) -> BenchResult:
    """Fill the database with nights, and measure how long each page takes to read and render."""
    with open_session(loans.contract.portfolio, url) as session:
        started = time.perf_counter()
        batch_ids = _fill_database(session, loans, nights, loans_a_night)
        took = time.perf_counter() - started
        loan_id = _undecided_loan(session)
        # The generated nights were not published, which writes the queue.
        fill_queue(session, current_run(session, batch_ids[-1]))
        pages: dict[str, Page] = {
            "portfolio": ("overview.html", read_portfolio_page),
            "batches": ("batches.html", lambda s: read_batches_page(s, None)),
            "batch": (
                "batch.html",
                lambda s: read_batch_page(s, batch_ids[nights * 2 // 3]) or {},
            ),
            "drift, 30 nights": ("drift.html", lambda s: read_drift_page(s, 30)),
            f"drift, {YEAR} nights": ("drift.html", lambda s: read_drift_page(s, YEAR)),
            "timeline": (
                "timeline.html",
                lambda s: read_timeline_page(s, TimelineQuery()),
            ),
            "alerts": ("alerts.html", read_alerts_page),
            "operations": ("operations.html", read_operations_page),
            "models": ("models.html", lambda s: read_models_page(s, None, None)),
            "desk": (
                "desk.html",
                lambda s: read_queue_page(s, QueueQuery(batch=batch_ids[-1]), "airflow:bench"),
            ),
            "application": (
                "desk_application.html",
                lambda s: _application_page(s, loan_id),
            ),
        }
        figures = [
            median_seconds(name, _seconds(url, session, page)) for name, page in pages.items()
        ]
    ratios = [
        LimitedRatio(figure.name, figure.value, LIMIT_SECONDS, unit="s") for figure in figures
    ]
    made = Measurement("rows made in", took, "s", f"{nights} nights of {loans_a_night:,} scores")
    return BenchResult("pages", loans.source, nights * loans_a_night, [made, *figures], ratios)


def _fill_database(
    session: Session, loans: BenchLoans, nights: int, loans_a_night: int
) -> list[str]:
    """Fill the database with a real night and generated nights.

    Return the batch_ids of the generated nights with many loans.
    """
    train_bench_pair(session, loans)
    replace_batch(session, loans.file)
    real = session.contract.replay.start
    run = score_batch(session, real)
    compare_batch(session, real)
    before = fill_nights(session, YEAR - nights, FEW, FIRST_NIGHT - timedelta(YEAR - nights))
    batch_ids = fill_nights(session, nights, loans_a_night)
    values = {"run": run, "real": real, "nights": before + batch_ids}
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        for table in COPIED:
            cursor.execute(sql.SQL(COPY).format(table=sql.Identifier(table)), values)
        cursor.execute(INVENTED, values)
    update_alerts(session)
    session.connection.autocommit = True
    with session.connection.cursor() as cursor:
        # Postgres needs statistics of the new rows to plan queries well. In normal use autovacuum
        # computes these statistics.
        cursor.execute("ANALYZE")
    session.connection.autocommit = False
    return batch_ids


def _application_page(session: Session, loan_id: Any) -> dict[str, Any]:
    found = read_application_page(session, loan_id)
    deciding = read_deciding(session, found["shown"], QueueQuery(), "airflow:bench")
    return found | deciding | {"may_appeal": False}


def _undecided_loan(session: Session) -> Any:
    """Return the loan_id of an application of the real night that a person must decide."""
    found = read_queue(session, session.contract.replay.start, QueueFilter(decision="review"))
    return found.rows[0]["loan_id"]


def _seconds(url: str, session: Session, page: Page) -> list[float]:
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
        if turn:  # turn 0 is a warm-up and is not counted
            found.append(time.perf_counter() - started)
    return found
