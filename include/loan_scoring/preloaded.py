"""Start Airflow with the libraries of tasks imported: `python -m loan_scoring.preloaded scheduler`.

Each task is a process forked from its executor's process. Libraries that the executor has imported
cost a task nothing; importing them takes two to six seconds of a core, far more than scoring a
mini-batch. The project's own modules are not preloaded: a task imports them as they are on disk
(docs/adr/0025).
"""

import importlib
import runpy

LIBRARIES = (
    "scipy.special",
    "skops.io",  # searches all loaded modules, so it comes before most of them (docs/adr/0006)
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
