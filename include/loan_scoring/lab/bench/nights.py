"""Fill tables `applications` and `scores` with as many rows as months of use would produce."""

import sys
from datetime import date, timedelta
from itertools import groupby

from psycopg2 import sql

from loan_scoring import database
from loan_scoring.database.partitions import ensure_partition, partition_name
from loan_scoring.database.session import Session

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


def fill_nights(session: Session, nights: int, loans: int, first: date = FIRST_NIGHT) -> list[str]:
    """Generate batches with applications and scores, by SQL statements. Return the batch_ids.

    Args:
        session: database session. The database must have no batches on these dates. The models
            `propensity-1` and `personas-1` are created if they do not exist.
        nights: number of batches. The dates are consecutive days.
        loans: number of loans in each batch.
        first: date of the first batch.
    """
    batch_ids = [(first + timedelta(days)).isoformat() for days in range(nights)]
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
