"""Find the Parquet files of a business date in a lake, those of one schema together.

Spark reads all files by the schema of one of them. A column that another file lacks would be null.
"""

import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from loan_scoring.errors import SourceError, StateError

BATCH = "batch_id"
FOOTERS_AT_ONCE = 16
"""Footers that are read at the same time, because a bucket takes long to answer."""
TABLES = {"_delta_log": "Delta", ".hoodie": "Hudi", "metadata/version-hint.text": "Iceberg"}
"""What a folder of a table has, by which formats keep files that are no longer part of it."""


NANOSECONDS = re.compile(r"int64 (.+) \(TIMESTAMP\(NANOS,(true|false)\)\)")
"""A column of times that pandas wrote, in the text of a schema: its name, whether it is in UTC."""


def files_by_schema(spark: Any, folder: str, batch_id: str) -> dict[str, list[str]]:
    """Return the addresses of the files of a date which have rows, by the text of their schema.

    If the folders below have names such as `batch_id=2026-01-05`, only those of the date count.

    Raises:
        StateError: the folder is not there, has no application of the date, or is a table of a
            format whose files may be outdated.
        SourceError: a file is not Parquet, or is damaged.
    """
    if not exists(spark, folder):
        raise StateError(f"{folder} is not there; name the folder of the applications")
    for name, kind in TABLES.items():
        if exists(spark, f"{folder.rstrip('/')}/{name}"):
            raise StateError(
                f"{folder} is a {kind} table, whose files may hold rows that are deleted; write "
                "the date's rows to a folder as Parquet, and name that"
            )
    # This format lists files and reads none of them if their content is not selected.
    files = spark.read.format("binaryFile").load(folder)
    if BATCH in files.columns:
        files = files.where(files[BATCH] == batch_id)
    paths = sorted(row.path for row in files.select("path").collect())
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as threads:
        footers = list(threads.map(lambda path: _footer(spark, path), paths))
    groups = defaultdict(list)
    for path, (schema, rows) in zip(paths, footers, strict=True):
        if rows:
            groups[schema].append(path)
    if not groups:
        raise StateError(f"{folder} has no application of {batch_id}; name another place")
    return groups


def read_files(spark: Any, folder: str, files: list[str]) -> Any:
    """Return the DataFrame of Parquet files. Names of folders below `folder` may be columns.

    Times in nanoseconds are integers in it, because Spark does not know them.
    """
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    system, path = _hadoop(spark, folder)
    if not system.getFileStatus(path).isDirectory():
        return spark.read.parquet(*files)
    return spark.read.option("basePath", folder).parquet(*files)


def columns_of(schema: str, names: list[str]) -> list[Any]:
    """Return the columns of `read_files` by name, with times in nanoseconds as times again."""
    from pyspark.sql import functions as f

    columns = {name: f.col(f"`{name}`") for name in names}
    for name, is_utc in NANOSECONDS.findall(schema):
        if name in columns:
            time = f.timestamp_micros(f.expr(f"`{name}` div 1000"))
            columns[name] = (time if is_utc == "true" else time.cast("timestamp_ntz")).alias(name)
    return list(columns.values())


def exists(spark: Any, address: str) -> bool:
    """Return whether there is a file or a folder at an address."""
    system, path = _hadoop(spark, address)
    return bool(system.exists(path))


def remove(spark: Any, address: str) -> None:
    """Remove a folder if it is there."""
    system, path = _hadoop(spark, address)
    system.delete(path, True)


def _footer(spark: Any, path: str) -> tuple[str, int]:
    """Return the schema of a Parquet file as text, and its number of rows."""
    from py4j.protocol import Py4JJavaError

    context = spark.sparkContext
    parquet = context._jvm.org.apache.parquet.hadoop
    _, place = _hadoop(spark, path)
    try:
        file = parquet.util.HadoopInputFile.fromPath(place, context._jsc.hadoopConfiguration())
        reader = parquet.ParquetFileReader.open(file)
    except Py4JJavaError as error:
        raise SourceError(
            f"{path}: the file is not Parquet, or is damaged; deliver it again"
        ) from error
    try:
        return reader.getFileMetaData().getSchema().toString(), int(reader.getRecordCount())
    finally:
        reader.close()


def _hadoop(spark: Any, address: str) -> tuple[Any, Any]:
    """Return Hadoop's file system of an address, and the address as its path."""
    context = spark.sparkContext
    path = context._jvm.org.apache.hadoop.fs.Path(address)
    return path.getFileSystem(context._jsc.hadoopConfiguration()), path
