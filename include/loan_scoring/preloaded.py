"""Start Airflow with what tasks import in memory: `python -m loan_scoring.preloaded scheduler`.

Each task is a process forked from its executor's. What that has imported costs a task nothing; to
import it anew takes two to six seconds of a core, far more than to score a mini-batch. Our own
modules are left out: a task takes them as they are on disk (docs/adr/0025).
"""

import importlib
import runpy

LIBRARIES = (
    "scipy.special",
    "skops.io",  # looks through all that is loaded: quick while that is little (docs/adr/0006)
    "great_expectations",
    "great_expectations.render.renderer.page_renderer",
    "great_expectations.render.view.view",
    "pandas",
    "psycopg2",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.parquet",
    "scipy.optimize",
    "scipy.stats",
    "sklearn.cluster",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.inspection",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "xgboost",
)

if __name__ == "__main__":
    for library in LIBRARIES:
        importlib.import_module(library)
    runpy.run_module("airflow", run_name="__main__", alter_sys=True)
