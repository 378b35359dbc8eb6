"""Start Spark as this project uses it: on this machine, or as the driver of a cluster."""

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from loan_scoring import settings
from loan_scoring.errors import StateError

BLOCK_ROWS = 10_000
"""Rows of an Arrow batch. A linear model's last digit depends on where batches are cut."""


@contextmanager
def spark_session(name: str) -> Iterator[Any]:
    """Yield a SparkSession, and stop it at the end of the block.

    The master is LOAN_SCORING_SPARK_MASTER. The default is this machine with two threads, which
    tries what failed up to four times. `spark-submit --master` goes before both.

    Raises:
        StateError: Spark does not start.
    """
    # Workers on this machine use the driver's Python, or else they would not find its packages.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    from py4j.protocol import Py4JError
    from pyspark import SparkConf
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    conf = SparkConf()
    master = conf.get("spark.master", settings.spark_master())
    wanted = {
        "spark.master": master,
        "spark.app.name": name,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(BLOCK_ROWS),
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        # 2026-01-05 in the name of a folder is a batch_id, which is a text.
        "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    }
    if str(master).startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        wanted |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    elif address := address_towards(str(master)):
        wanted["spark.driver.host"] = address
    for key, value in wanted.items():
        conf.setIfMissing(key, str(value))
    try:
        spark = SparkSession.builder.config(conf=conf).getOrCreate()
    except (Py4JError, PySparkException) as error:
        raise StateError(
            f"Spark does not start on {conf.get('spark.master')}: {_reason(str(error))}; see that "
            "LOAN_SCORING_SPARK_MASTER names a master that runs"
        ) from error
    try:
        yield spark
    finally:
        spark.stop()


def address_towards(master: str) -> str | None:
    """Return this machine's address in the network of a master. Return None if it is not known.

    A machine in several networks would else tell executors the address of any of them.
    """
    named = re.match(r"spark://\[?([^,\]]+)\]?:(\d+)", master)
    if named is None:
        return None
    host, port = named.groups()
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # sends nothing
            return str(probe.getsockname()[0])
    except OSError:
        return None  # Spark says what is wrong with the master


@contextmanager
def spark_errors() -> Iterator[None]:
    """Convert an error of Spark, which is pages long, to one line.

    Raises:
        StateError: Spark gave up.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JError, PySparkException) as error:
        raise StateError(f"Spark gave up: {_reason(str(error))}; run again") from error


def _reason(text: str) -> str:
    """Return the line of a Spark error that says what went wrong: the last one of Python's.

    >>> _reason("Job aborted\\n  File x\\nloan_scoring.errors.DatabaseError: gone\\n\\tat org.x")
    'loan_scoring.errors.DatabaseError: gone'
    >>> _reason("An error occurred.\\n: java.lang.IllegalStateException: it is stopped")
    'java.lang.IllegalStateException: it is stopped'
    """
    lines = [line.strip().removeprefix(": ") for line in text.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
    return (named[-1] if named else lines[0] if lines else "it gave no reason")[:500]
