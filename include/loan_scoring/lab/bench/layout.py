"""Fill the tables as years of nights would and time the questions that are asked of them.

`python -m loan_scoring.bench.layout --nights 1000 --loans 50000` makes so many batches on the
server, in a database of the embedded Postgres that is gone afterwards, and prints for each question
its median time, what it read, and how often it had to look into a partition. 50 million rows take
a quarter of an hour and 30 GB of disk.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from loan_scoring import database
from loan_scoring.database.partitions import ensure_partition, partition_name
from loan_scoring.database.session import Session, open_session
from loan_scoring.lab.bench.measuring import DATABASE
from loan_scoring.local.throwaway import throwaway_database

REPETITIONS = 7
FIRST_NIGHT = date(2024, 1, 1)

MODELS = """
INSERT INTO models (model_version, kind, number, algorithm, parameters, features, metrics,
                    training_data, fingerprint, code_version, artifact, artifact_sha256)
SELECT kind || '-1', kind, 1, 'made', '{}', '{}', '{}', '{}', 'made', 'made', 'made', 'made'
FROM unnest(ARRAY['propensity', 'personas']) AS kind
ON CONFLICT DO NOTHING;
INSERT INTO promotions (kind, model_version, verdict, evidence, decided_by)
SELECT kind, model_version, 'promoted', '{}', 'bench' FROM models
WHERE NOT EXISTS (SELECT FROM promotions)
"""
NIGHTS = """
INSERT INTO batches (batch_id, revision, source, sha256, state, is_current, received, accepted,
                     quarantined, published_at)
SELECT night, 1, 'synthetic: made by the bench', night, 'published', true, %(loans)s, %(loans)s, 0,
       now()
FROM unnest(%(nights)s) AS night;
INSERT INTO scoring_runs (scoring_run_id, batch_id, revision, propensity_version,
                          personas_version, state, is_current, applications, scored, referred,
                          published_at)
SELECT night || '-r1-propensity-1-personas-1', night, 1, 'propensity-1', 'personas-1',
       'published', true, %(loans)s, %(loans)s, 0, now()
FROM unnest(%(nights)s) AS night
"""
APPLICATIONS = """
INSERT INTO {table} (batch_id, revision, line_number, loan_id, {columns})
SELECT night, 1, loan + 1, place * %(loans)s + loan, 10000 * (loan %% 100), 500 + loan %% 400
FROM unnest(%(nights)s, %(places)s::bigint[]) AS of (night, place),
     generate_series(1, %(loans)s) AS loan
"""
SCORES = """
INSERT INTO {table} (scoring_run_id, batch_id, mini_batch, loan_id, default_probability, decision,
                     persona, persona_default_rate, propensity_version, personas_version,
                     scored_at, reason_1, reason_2, reason_3, reason_4)
SELECT night || '-r1-propensity-1-personas-1', night, loan / 20000, place * %(loans)s + loan, p,
       CASE WHEN p < 0.6 THEN 'approve' WHEN p < 0.9 THEN 'review' ELSE 'decline' END,
       (ARRAY['high amount, high value', 'low term, low LTV', 'low value, low income'])
           [1 + loan %% 3], 0.1 * (1 + loan %% 3), 'propensity-1', 'personas-1', now(),
       CASE WHEN p >= 0.6 THEN 'Loan to value' END, CASE WHEN p >= 0.6 THEN 'Monthly income' END,
       CASE WHEN p >= 0.6 THEN 'Credit score' END, CASE WHEN p >= 0.8 THEN 'Amount of the loan' END
FROM unnest(%(nights)s, %(places)s::bigint[]) AS of (night, place),
     generate_series(1, %(loans)s) AS loan,
     LATERAL (SELECT ((loan * 7919 + place * 104729) %% 9973) / 9973.0 AS p) AS made
"""
QUESTIONS = {
    "which model scored loan X on date D": """
        SELECT propensity_version, default_probability, decision, reason_1
        FROM current_scores WHERE batch_id = %(night)s AND loan_id = %(loan_id)s""",
    "all scores of loan X, date unknown": """
        SELECT batch_id, propensity_version, default_probability, decision
        FROM current_scores WHERE loan_id = %(loan_id)s""",
    "all on record of loan X": database.statement("select_loan_record"),
    "the declines of a day": """
        SELECT loan_id, default_probability, reason_1 FROM current_scores
        WHERE batch_id = %(night)s AND decision = 'decline' ORDER BY default_probability DESC""",
    "approval rate by night, last 30": """
        SELECT batch_id, avg((decision = 'approve')::int) FROM current_scores
        WHERE batch_id > %(month_ago)s AND batch_id <= %(night)s GROUP BY batch_id""",
    "a persona's mean probability, last 30 nights": """
        SELECT persona, count(*), avg(default_probability) FROM current_scores
        WHERE batch_id > %(month_ago)s AND batch_id <= %(night)s GROUP BY persona""",
    "counts that publishing reconciles": database.statement("select_run_counts"),
    "cutting a batch into slices": """
        SELECT slice - 1, min(loan_id), max(loan_id), count(*)
        FROM (SELECT loan_id, ntile(3) OVER (ORDER BY loan_id) AS slice FROM applications
              WHERE batch_id = %(night)s AND revision = 1) AS sliced GROUP BY slice""",
    "a block of 20,000 applications": """
        SELECT loan_id, line_number FROM applications
        WHERE batch_id = %(night)s AND revision = 1 AND loan_id > %(loan_id)s
        ORDER BY loan_id LIMIT 20000""",
}


@dataclass(frozen=True)
class QueryTiming:
    """What a question took: medians in milliseconds, and partitions that were looked into."""

    question: str
    planning: float
    execution: float
    partitions: int
    blocks: int


def fill_nights(session: Session, nights: int, loans: int) -> list[str]:
    """Make so many batches of so many loans each, applications and scores; return the batch_ids."""
    batch_ids = [(FIRST_NIGHT + timedelta(nth)).isoformat() for nth in range(nights)]
    connection = session.connection
    numbers = [column.name for column in session.contract.inputs if column.is_numeric]
    columns = sql.SQL(", ").join(map(sql.Identifier, numbers[:2]))
    with database.transaction(connection), connection.cursor() as cursor:
        cursor.execute(MODELS)
        cursor.execute(NIGHTS, {"nights": batch_ids, "loans": loans})
    for month, days in groupby(enumerate(batch_ids), key=lambda each: each[1][:7]):
        places, of_month = zip(*days, strict=True)
        values = {"nights": list(of_month), "places": list(places), "loans": loans}
        for table, statement in (("applications", APPLICATIONS), ("scores", SCORES)):
            ensure_partition(connection, table, of_month[0])
            name = sql.Identifier(partition_name(table, of_month[0]))
            with database.transaction(connection), connection.cursor() as cursor:
                cursor.execute(sql.SQL(statement).format(table=name, columns=columns), values)
        sys.stderr.write(f"{month}: {len(of_month)} nights\n")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    connection.autocommit = False
    return batch_ids


def time_questions(session: Session, batch_ids: list[str], loans: int) -> Iterator[QueryTiming]:
    """Yield what each question takes, asked of a night in the middle of the months."""
    place = len(batch_ids) * 2 // 3
    values = {
        "night": batch_ids[place],
        "batch_id": batch_ids[place],
        "scoring_run_id": f"{batch_ids[place]}-r1-propensity-1-personas-1",
        "month_ago": batch_ids[max(place - 30, 0)],
        "loan_id": place * loans + loans // 3,
    }
    with session.connection.cursor() as cursor:
        for question, statement in QUESTIONS.items():
            found = [_explained(cursor, statement, values) for _ in range(REPETITIONS)]
            session.connection.rollback()
            yield QueryTiming(
                question,
                statistics.median(each["Planning Time"] for each in found),
                statistics.median(each["Execution Time"] for each in found),
                len(_relations(found[-1]["Plan"])),
                found[-1]["Plan"]["Shared Hit Blocks"] + found[-1]["Plan"]["Shared Read Blocks"],
            )


def _explained(cursor: Cursor, statement: str, values: dict[str, object]) -> dict[str, Any]:
    cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement, values)
    ((told,),) = cursor.fetchall()
    found: dict[str, Any] = told[0]
    return found


def _relations(plan: dict[str, Any]) -> set[str]:
    """Return the partitions that a plan's nodes looked into."""
    looked = plan.get("Actual Loops", 0) > 0
    name = plan.get("Relation Name", "") if looked else ""
    found = {name} if name.startswith(("scores_", "applications_")) else set()
    return found.union(*(_relations(child) for child in plan.get("Plans", [])))


def _sizes(session: Session) -> list[str]:
    with session.connection.cursor() as cursor:
        cursor.execute(
            "SELECT split_part(relid::text, '_', 1), count(*), sum(pg_table_size(relid))::float8,"
            " sum(pg_indexes_size(relid))::float8"
            " FROM (SELECT relid FROM pg_partition_tree('scores')"
            " UNION ALL SELECT relid FROM pg_partition_tree('applications')) AS all_of_them"
            " GROUP BY 1"
        )
        return [
            f"{name}: {parts - 1} partitions, {table / 1e9:.1f} GB, indexes {index / 1e9:.1f} GB"
            for name, parts, table, index in cursor.fetchall()
        ]


def main() -> None:
    """Fill a database, ask, and print the answers."""
    parser = argparse.ArgumentParser(prog="layout", description=__doc__)
    parser.add_argument("--portfolio", default="loan_default")
    parser.add_argument("--nights", type=int, default=1000)
    parser.add_argument("--loans", type=int, default=50_000, help="a night")
    options = parser.parse_args()
    with throwaway_database(DATABASE) as url, open_session(options.portfolio, url) as session:
        started = time.perf_counter()
        batch_ids = fill_nights(session, options.nights, options.loans)
        lines = [
            f"{options.nights:,} nights of {options.loans:,} loans, made in "
            f"{time.perf_counter() - started:.0f} s",
            *_sizes(session),
            f"{'question':<46}{'planning ms':>12}{'execution ms':>14}{'parts':>8}{'blocks':>9}",
        ]
        for answer in time_questions(session, batch_ids, options.loans):
            lines.append(
                f"{answer.question:<46}{answer.planning:>12.1f}{answer.execution:>14.1f}"
                f"{answer.partitions:>8}{answer.blocks:>9,}"
            )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
