"""Start Airflow after importing the libraries that tasks use.

Usage: `python -m loan_scoring.preloaded scheduler`.

Airflow's executor forks a process for each task, so a library that the executor has imported is
already loaded in that process. Otherwise each task would spend two to six seconds of CPU time on
imports, which is far more than scoring a mini-batch takes. The project's own modules are not
preloaded, because each task must run the code that is on disk when the task starts (docs/adr/0025).
"""

import importlib
import runpy

LIBRARIES = (
    "scipy.special",
    "skops.io",  # early, because this import searches every loaded module (docs/adr/0006)
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
