"""Score a batch and print time and memory as JSON: `score_process PORTFOLIO WAY`.

WAY is `ours` (as in production), `silent` (`ours` without reasons), `ratios` (`ours` with a pair of
models that reads declared ratios too), `floor` (the least possible work) or `naive` (pandas and
scikit-learn pipelines).
"""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from psycopg2 import sql
from sqlalchemy import Engine, create_engine
from threadpoolctl import threadpool_limits

from loan_scoring import contract as contracts
from loan_scoring import database, settings
from loan_scoring.contract import KEY, Contract
from loan_scoring.database.applications import column_types
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import LoanScoringError
from loan_scoring.features.compute import compute_features
from loan_scoring.lab.bench.harness import NAIVE_ROWS, peak_memory_bytes, truncate_tables
from loan_scoring.local.postgres import portfolio_database_url
from loan_scoring.models import registry
from loan_scoring.models.encoding import Encoder, split_columns
from loan_scoring.models.scorer import Scorer, decide_by_policy, exclusion_reasons
from loan_scoring.scoring.batch import score_batch

WARM_UP_ROWS = 1000
RATIOS_PAIR = ("propensity-2", "personas-2")
"""The pair of models that reads declared ratios, which is fitted after the champions."""


class SilentScorer(Scorer):
    """A scorer that leaves out the reasons, to measure how much time reasons take."""

    def _reasons(self, *_: Any) -> dict[str, pa.Array]:
        return {}


def main(portfolio: str, way: str) -> dict[str, float]:
    """Load the models, score a few rows as a warm-up, then score the batch. Return the cost."""
    batch_id = contracts.load(portfolio).replay.start
    with open_session(portfolio, portfolio_database_url()) as session:
        truncate_tables(session, "scoring_runs, mini_batches, scores")
        with database.transaction(session.connection), session.connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS floor")
            cursor.execute("CREATE TABLE floor (LIKE scores)")
        pair = RATIOS_PAIR if way == "ratios" else registry.champion_pair(session)
        scorer = registry.load_scorer(session, *pair)
        if way == "silent":
            scorer = SilentScorer(**vars(scorer))
        with database.transaction(session.connection):
            query = _query(session.contract, batch_id, scorer.columns)
            few = query + sql.SQL(" LIMIT {}").format(sql.Literal(WARM_UP_ROWS))
            scorer.score(_copy_out(session, few, scorer.columns))
        if way == "floor":
            return _floor(session, query, scorer)
        if way == "naive":
            return _naive(portfolio, scorer, batch_id)
        # Replace the loader, so that score_batch uses the loaded models, because the time to load
        # models must not count.
        registry.load_scorer = lambda *_: scorer
        started = time.perf_counter()
        score_batch(session, batch_id)
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak_memory_bytes": peak_memory_bytes()}


def _query(contract: Contract, batch_id: str, columns: list[str]) -> sql.Composed:
    return sql.SQL("SELECT {} FROM {}.applications WHERE batch_id = {}").format(
        sql.SQL(", ").join(map(sql.Identifier, [KEY, *columns])),
        sql.Identifier(contract.portfolio),
        sql.Literal(batch_id),
    )


def _copy_out(session: Session, query: sql.Composed, columns: list[str]) -> pa.Table:
    types = column_types(session.contract, [KEY, *columns])
    return database.copy_out(session.connection, query, types)


def _floor(session: Session, query: sql.Composed, scorer: Scorer) -> dict[str, float]:
    """Score with the least possible work: COPY out, encode, predict, COPY in.

    The scores go into a table without keys. Return the seconds of each step, and `seconds`, which
    is the sum of all steps.
    """
    steps: dict[str, float] = {}

    @contextmanager
    def step(name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        steps[name] = time.perf_counter() - started

    encoders = Encoder(scorer.propensity[0]), Encoder(scorer.personas[0])
    with database.transaction(session.connection), threadpool_limits(limits=1):
        with step("COPY out"):
            table = _copy_out(session, query, scorer.columns)
        with step("encode"):
            reason = exclusion_reasons(session.contract, table)
            scorable = np.flatnonzero(reason.is_null().to_numpy(zero_copy_only=False))
            names = sorted({*scorer.propensity_features, *scorer.personas_features})
            table = compute_features(scorer.contract, table, names)
            columns = split_columns(table.take(pa.array(scorable)), scorer.contract, names)
            first, second = (encoder.encode(columns) for encoder in encoders)
        with step("predict"):
            probability, cluster = np.full(len(table), np.nan), np.full(len(table), -1)
            probability[scorable] = scorer.propensity[-1].predict_proba(first)[:, 1]
            cluster[scorable] = scorer.personas[-1].predict(second)
        with step("COPY in"):
            rows, place = len(table), pa.array(cluster, mask=cluster < 0)
            written = pa.table(
                {
                    "scoring_run_id": pa.repeat("floor", rows),
                    "batch_id": pa.repeat("floor", rows),
                    "mini_batch": pa.repeat(0, rows),
                    KEY: table.column(KEY),
                    "default_probability": pa.array(probability, from_pandas=True),
                    "exclusion_reason": reason,
                    "decision": decide_by_policy(session.contract, probability),
                    "persona": pa.array(scorer.persona_names).take(place),
                    "persona_default_rate": pa.array(scorer.persona_default_rates).take(place),
                    "propensity_version": pa.repeat("floor", rows),
                    "personas_version": pa.repeat("floor", rows),
                    "scored_at": pa.repeat(pa.scalar(datetime.now(UTC)), rows),
                }
            )
            database.copy_in(session.connection, "floor", written.column_names, written)
            session.connection.commit()
    return {"seconds": sum(steps.values()), **steps}


def _naive(portfolio: str, scorer: Scorer, batch_id: str) -> dict[str, float]:
    """Score NAIVE_ROWS rows with pandas: read_sql, then predict with the pipelines, then to_sql."""
    url = settings.database_url() or ""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg2://", 1))
    try:
        started = time.perf_counter()
        rows = _score_with_pandas(engine, portfolio, scorer, batch_id)
        seconds = time.perf_counter() - started
    finally:
        engine.dispose()
    return {"seconds": seconds, "rows": rows}


def _score_with_pandas(engine: Engine, portfolio: str, scorer: Scorer, batch_id: str) -> int:
    frame = pd.read_sql(
        f"SELECT * FROM {portfolio}.applications WHERE batch_id = '{batch_id}' LIMIT {NAIVE_ROWS}",  # noqa: S608 - no outside input
        engine,
    ).fillna(np.nan)
    probability = scorer.propensity.predict_proba(frame[scorer.propensity_features])[:, 1]
    persona = scorer.personas.predict(frame[scorer.personas_features])
    policy = scorer.contract.decision
    scores = pd.DataFrame(
        {
            "scoring_run_id": f"{batch_id}-naive",
            "batch_id": batch_id,
            "mini_batch": 0,
            "loan_id": frame[KEY],
            "default_probability": probability,
            "exclusion_reason": None,
            "decision": np.select(
                [probability < policy.approve_below, probability >= policy.decline_from],
                ["approve", "decline"],
                "review",
            ),
            "persona": np.array(scorer.persona_names)[persona],
            "persona_default_rate": np.array(scorer.persona_default_rates)[persona],
            "propensity_version": "naive",
            "personas_version": "naive",
            "scored_at": datetime.now(UTC),
        }
    )
    scores.to_sql("naive", engine, schema=portfolio, if_exists="replace", index=False)
    return len(scores)


if __name__ == "__main__":
    logging.disable()
    try:
        result: dict[str, Any] = main(*sys.argv[1:])
    except LoanScoringError as error:
        result = {"error": str(error)}
    sys.stdout.write(json.dumps(result))
