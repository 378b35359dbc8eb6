"""Run Evidently or NannyML on batches in Parquet: `peer_drift.py evidently|nannyml|time FOLDER`.

This script runs in the peers' own environment. loan_scoring is not installed in that environment,
so the script must not import loan_scoring. The script prints one JSON object per line.

The input is FOLDER/manifest.json. The manifest lists the numeric and the categorical columns. For
`evidently` and `nannyml` the manifest also lists the rounds, each with a baseline and batches. For
`time` the manifest instead names one baseline, one batch and the number of repetitions.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd


def evidently_reports(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return two functions that run Evidently's preset on a batch, by name of the settings.

    The first function uses the default settings. The second function uses the Kolmogorov-Smirnov
    test and the chi-square test.
    """
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    def run(frame: pd.DataFrame, baseline: pd.DataFrame, **how: str) -> dict[str, Any]:
        names = list(frame.columns)
        definition = DataDefinition(
            numerical_columns=[name for name in manifest["numbers"] if name in names],
            categorical_columns=[name for name in manifest["categories"] if name in names],
        )
        sides = [
            Dataset.from_pandas(side[names], data_definition=definition)
            for side in (frame, baseline)
        ]
        found = Report([DataDriftPreset(**how)]).run(*sides).dict()["metrics"]
        count = next(each["value"]["count"] for each in found if isinstance(each["value"], dict))
        return {"drifted": int(count), "columns": len(names)}

    return {
        "Evidently, default": run,
        "Evidently, KS and chi-square": lambda frame, baseline: run(
            frame, baseline, num_method="ks", cat_method="chisquare"
        ),
    }


def run_evidently(manifest: dict[str, Any]) -> None:
    """Print, for each batch, the number of columns in which Evidently finds drift."""
    reports = evidently_reports(manifest)
    for each in manifest["rounds"]:
        baseline = pd.read_parquet(each["baseline"])
        for batch in each["batches"]:
            frame = pd.read_parquet(batch["file"])
            for way, report in reports.items():
                print_result(batch, way, report(frame, baseline))


def run_nannyml(manifest: dict[str, Any]) -> None:
    """Print, for each batch, the number of columns in which NannyML finds drift.

    NannyML computes its thresholds from chunks of the baseline. Each chunk has as many rows as the
    batch.
    """
    import nannyml

    ways = {
        "NannyML, Jensen-Shannon (default)": ("jensen_shannon", "jensen_shannon"),
        "NannyML, KS and chi-square": ("kolmogorov_smirnov", "chi2"),
    }
    for each in manifest["rounds"]:
        baseline = pd.read_parquet(each["baseline"])
        for batch in each["batches"]:
            frame = pd.read_parquet(batch["file"])
            calculator = nannyml.UnivariateDriftCalculator(
                column_names=list(frame.columns),
                treat_as_categorical=[n for n in manifest["categories"] if n in frame.columns],
                chunk_size=len(frame),
                continuous_methods=[of_numbers for of_numbers, _ in ways.values()],
                categorical_methods=[of_categories for _, of_categories in ways.values()],
            )
            calculator.fit(baseline[list(frame.columns)])
            found = calculator.calculate(frame).filter(period="analysis").to_df()
            for way, methods in ways.items():
                alerts = [
                    bool(found[place].iloc[0])
                    for place in found.columns
                    if place[2] == "alert" and place[1] in methods
                ]
                print_result(batch, way, {"drifted": sum(alerts), "columns": len(alerts)})


def run_time(manifest: dict[str, Any]) -> None:
    """Print the seconds that each repetition of Evidently's preset takes, after a warm-up."""
    baseline, frame = (pd.read_parquet(manifest[side]) for side in ("baseline", "batch"))
    report = evidently_reports(manifest)["Evidently, default"]
    report(frame.head(2000), baseline.head(2000))
    for _ in range(manifest["repetitions"]):
        started = time.perf_counter()
        report(frame, baseline)
        print(json.dumps({"seconds": time.perf_counter() - started}), flush=True)  # noqa: T201


def print_result(batch: dict[str, Any], way: str, found: dict[str, Any]) -> None:
    """Print the result of one batch as a line of JSON."""
    print(json.dumps({**batch, "way": way, **found}), flush=True)  # noqa: T201


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    what, where = sys.argv[1], Path(sys.argv[2])
    runs = {"evidently": run_evidently, "nannyml": run_nannyml, "time": run_time}
    runs[what](json.loads((where / "manifest.json").read_text()))
