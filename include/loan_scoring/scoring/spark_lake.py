"""Score applications that are Parquet files of a lake, on Spark, into Parquet files.

Applications stay where they are: each partition is read, judged and scored by `LakeRows` on an
executor, which gets rules and models by broadcast. A rerun replaces the files of its run.
"""

from datetime import UTC, datetime
from functools import reduce
from itertools import starmap
from typing import Any

import pyarrow as pa

from loan_scoring import contract as contracts
from loan_scoring import database
from loan_scoring.contract import KEY, Contract
from loan_scoring.database.session import open_session
from loan_scoring.database.types import ARROW_TYPES
from loan_scoring.errors import StateError
from loan_scoring.models import registry
from loan_scoring.models.scorer import Scorer
from loan_scoring.scoring.lake_rows import (
    FILE,
    RAW,
    ROW,
    RULES,
    SCORES,
    LakeRows,
    judged_schema,
    stored_columns,
)
from loan_scoring.scoring.run_ids import lake_run_id
from loan_scoring.scoring.spark_batch import executor_url
from loan_scoring.scoring.spark_files import (
    BATCH,
    columns_of,
    exists,
    files_by_schema,
    read_files,
    remove,
)
from loan_scoring.scoring.spark_session import spark_errors, spark_session


def score_lake(portfolio: str, batch_id: str, applications: str, scores: str) -> dict[str, Any]:
    """Score the applications of a business date. Return counts, versions and folders.

    The rows go to SCORES/scores and SCORES/refused, below batch_id=.../scoring_run_id=.... After
    them, one row of counts goes to SCORES/runs. The last run of a date is the one in use.

    Args:
        portfolio: name of the portfolio.
        batch_id: business date. If the applications have a column `batch_id`, which can be the
            name of a folder, only those of this date are read.
        applications: address of Parquet files that Spark knows, such as `s3a://lake/applications`.
        scores: address of a folder.

    Raises:
        StateError: there is no champion or no application, the models need look-ups, or Spark
            gave up.
        SourceError: a file is damaged, or lacks a column of the contract.
    """
    contract = contracts.load(portfolio)
    with (
        open_session(portfolio, executor_url()) as session,
        database.transaction(session.connection),
    ):
        propensity, personas = registry.champion_pair(session)
        scorer = registry.load_scorer(session, propensity, personas)
    refuse_lookups(scorer)
    run_id = lake_run_id(contract, batch_id, propensity, personas)
    at = f"{BATCH}={batch_id}/scoring_run_id={run_id}"
    kinds = ("scores", "refused", "runs")
    folders = {kind: f"{scores.rstrip('/')}/{kind}/{at}" for kind in kinds}
    with spark_errors(), spark_session(run_id) as spark:
        from pyspark.sql import functions as f

        judged = _judged(spark, contract, scorer, batch_id, applications)
        rows = _with_rules_of_keys(
            spark, contract, judged, f"{scores.rstrip('/')}/scores", batch_id
        )
        rows = rows.persist()
        counts = _counts(rows)
        if not counts["received"]:
            raise StateError(f"{applications} has no application of {batch_id}; name another place")
        versions = {"propensity_version": propensity, "personas_version": personas}
        stamps = {name: f.lit(value) for name, value in versions.items()}
        stamps["scored_at"] = f.lit(datetime.now(UTC))
        scored = rows.where(f.col(RULES).isNull()).select(KEY, *SCORES).withColumns(stamps)
        refused = rows.where(f.col(RULES).isNotNull()).select(FILE, ROW, KEY, RULES, RAW)
        remove(spark, folders["runs"])
        refused.write.mode("overwrite").parquet(folders["refused"])
        scored.sortWithinPartitions(KEY).write.mode("overwrite").parquet(folders["scores"])
        run = spark.range(1).select(*(f.lit(rows).alias(name) for name, rows in counts.items()))
        run.withColumns(stamps).write.parquet(folders["runs"])
    return {
        "scoring_run_id": run_id,
        **counts,
        **versions,
        **{f"{kind}_folder": folder for kind, folder in folders.items()},
    }


def refuse_lookups(scorer: Scorer) -> None:
    """Raise a StateError if the models read columns of look-ups, which are in the database."""
    for lookup in scorer.contract.lookups:
        used = sorted({column.name for column in lookup.columns} & {*scorer.columns})
        if used:
            raise StateError(
                f"the models read {', '.join(used)} of look-up {lookup.name}, which is in the "
                "database; ingest the applications and run score --batch without --applications"
            )


def _judged(
    spark: Any, contract: Contract, scorer: Scorer, batch_id: str, applications: str
) -> Any:
    """Return the DataFrame of all applications of a date, each with scores or broken rules."""
    from pyspark.sql import functions as f
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

    def judge(files_schema: str, files: list[str]) -> Any:
        source = read_files(spark, applications, files)
        if BATCH in source.columns:
            source = source.where(f.col(BATCH) == batch_id)
        where = applications if len(groups) == 1 else files[0]
        stored = stored_columns(contract, where, to_arrow_schema(source.schema), batch_id)
        sent = spark.sparkContext.broadcast(LakeRows(contract, scorer, stored))
        named = columns_of(files_schema, list(dict.fromkeys(stored.values())))
        return source.select(*places, *named).mapInArrow(
            lambda batches: sent.value.judge_all(batches), schema
        )

    places = [
        f.col("_metadata.file_path").alias(FILE),
        f.col("_metadata.row_index").alias(ROW),
    ]
    schema = from_arrow_schema(judged_schema(contract))
    groups = files_by_schema(spark, applications, batch_id)
    return reduce(lambda left, right: left.union(right), starmap(judge, groups.items()))


def _with_rules_of_keys(
    spark: Any, contract: Contract, judged: Any, folder: str, batch_id: str
) -> Any:
    """Return the rows with the rules that need all rows: repeated keys, and known ones.

    Of repeated rows, the first counts: by the name of its file, then by its place in it. A key is
    known if the lake has a score of it under another business date.
    """
    from pyspark.sql import functions as f
    from pyspark.sql.pandas.types import from_arrow_schema

    place = f.struct(FILE, ROW)
    several = judged.where(f.col(KEY).isNotNull()).groupBy(KEY)
    several = several.agg(f.min(place).alias("first"), f.count("*").alias("rows"))
    rows = judged.join(several.where("rows > 1").drop("rows"), KEY, "left")
    found = [f.col(RULES), f.when(f.col("first") != place, f"duplicate_key:{KEY}")]
    if exists(spark, folder):
        # The schema is given, because a run that was killed leaves a folder without files.
        key = pa.schema({KEY: ARROW_TYPES[contract.key.type], BATCH: pa.string()})
        known = spark.read.schema(from_arrow_schema(key)).parquet(folder)
        known = known.where(f.col(BATCH) != batch_id).select(KEY).distinct()
        rows = rows.join(known.withColumn("is_known", f.lit(True)), KEY, "left")
        found.append(f.when(f.col("is_known"), f"known_key:{KEY}"))
    rules = f.concat_ws("; ", *found)
    return rows.withColumn(RULES, f.when(rules != "", rules)).select(*judged.columns)


def _counts(rows: Any) -> dict[str, int]:
    """Return how many rows there are. `received` equals `scored` + `referred` + `refused`."""
    from pyspark.sql import functions as f

    is_refused, is_referred = f.col(RULES).isNotNull(), f.col("exclusion_reason").isNotNull()
    found = rows.agg(
        f.count("*").alias("received"),
        f.count_if(is_refused).alias("refused"),
        f.count_if(~is_refused & is_referred).alias("referred"),
    ).first()
    counts = {name: int(found[name]) for name in ("received", "refused", "referred")}
    return counts | {"scored": counts["received"] - counts["refused"] - counts["referred"]}
