"""Score on Spark: the driver, `python -m loan_scoring.scoring.spark_job`.

It is a process of its own, which `scoring/engine.py` starts, or `spark-submit`. It finds the
database in LOAN_SCORING_DATABASE_URL and the master in LOAN_SCORING_SPARK_MASTER.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from loan_scoring.errors import LoanScoringError
from loan_scoring.scoring.spark_batch import score_run
from loan_scoring.scoring.spark_lake import score_lake


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the driver. Write what it did, or one line on what failed, to the file `--report`."""
    parser = argparse.ArgumentParser(
        prog="python -m loan_scoring.scoring.spark_job", description="score on Spark"
    )
    parser.add_argument("--portfolio", required=True)
    parser.add_argument("--report", type=Path, help="file for the result, as JSON")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", metavar="ID", help="score this planned run")
    what.add_argument("--applications", metavar="URI", help="score these Parquet files")
    parser.add_argument("--scores", metavar="URI", help="with --applications: where scores go")
    parser.add_argument("--batch", metavar="DATE", help="with --applications: the business date")
    options = parser.parse_args(arguments)
    try:
        if options.run is not None:
            found = score_run(options.portfolio, options.run)
        else:
            found = score_lake(
                options.portfolio, options.batch, options.applications, options.scores
            )
    except LoanScoringError as error:
        found = {"error": str(error)}
    text = json.dumps(found)
    if options.report:
        options.report.write_text(text)
    else:
        print(text)  # noqa: T201 - the result of a command
    return 1 if "error" in found else 0


if __name__ == "__main__":
    sys.exit(main())
