"""Benchmark calls of the API: score one application on demand, and record the call.

A call is made as in the plugin, from opening the session to recording the call. The measured time
does not include HTTP and Airflow's check of permissions.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from loan_scoring.database.session import open_session, session_on
from loan_scoring.lab.bench.loans import BenchLoans
from loan_scoring.lab.bench.result import BenchResult, LimitedRatio, Measurement
from loan_scoring.lab.bench.score import train_bench_pair
from loan_scoring.scoring.fields import example_application
from loan_scoring.scoring.request import score_and_record
from loan_scoring_web.connections import kept_connection

CALLS, CLIENTS, CONNECT_SECONDS = 400, 8, 3
LIMIT_SECONDS, LIMIT_TAIL = 0.015, 5.0


def bench_calls(loans: BenchLoans, url: str) -> BenchResult:
    """Measure calls with one application each, of one client and of CLIENTS clients at once."""
    portfolio = loans.contract.portfolio
    application = example_application(loans.contract)
    with open_session(portfolio, url) as session:
        train_bench_pair(session, loans)

    def call(_: int) -> float:
        started = time.perf_counter()
        with (
            kept_connection(portfolio, url, CONNECT_SECONDS, {}) as connection,
            session_on(connection, loans.contract, migrates=False) as session,
        ):
            score_and_record(session, [application], "champion", "cli:bench")
        return time.perf_counter() - started

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(call, range(10 * CLIENTS)))  # a warm-up, which is not counted
        alone = [call(turn) for turn in range(CALLS)]
        together = list(clients.map(call, range(CALLS * 2)))
    figures = [
        Measurement(f"{name}, p{share}", float(np.percentile(times, share)), "s")
        for name, times in (("1 client", alone), (f"{CLIENTS} clients", together))
        for share in (50, 95, 99)
    ]
    found = {figure.name: figure.value for figure in figures}
    median = found[f"{CLIENTS} clients, p50"]
    ratios = [
        LimitedRatio("1 client, p50", found["1 client, p50"], LIMIT_SECONDS, unit="s"),
        LimitedRatio(
            f"{CLIENTS} clients, p99 / p50", found[f"{CLIENTS} clients, p99"] / median, LIMIT_TAIL
        ),
    ]
    return BenchResult("calls", loans.source, len(alone) + len(together), figures, ratios)
