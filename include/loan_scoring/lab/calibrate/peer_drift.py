"""Run Evidently or NannyML on batches in Parquet: `peer_drift.py evidently|nannyml|time FOLDER`.

This script runs in the peers' own environment. loan_scoring is not installed in that environment,
so the script must not import loan_scoring. The script prints one JSON object per line.

The input is FOLDER/manifest.json. The manifest lists the numeric and the categorical columns. For
`evidently` and `nannyml` the manifest also lists parts, each with a baseline and batches. For
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
    """Return functions that run Evidently on a batch, by name of the settings.

    The first function uses the preset's default settings, the second the Kolmogorov-Smirnov test
    and the chi-square test. The third compares the share of missing values by its default test.
    """
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import MissingValueCount
    from evidently.presets import DataDriftPreset

    def sides(frame: pd.DataFrame, baseline: pd.DataFrame) -> list[Any]:
        names = list(frame.columns)
        definition = DataDefinition(
            numerical_columns=[name for name in manifest["numbers"] if name in names],
            categorical_columns=[name for name in manifest["categories"] if name in names],
        )
        return [
            Dataset.from_pandas(side[names], data_definition=definition)
            for side in (frame, baseline)
        ]

    def run(frame: pd.DataFrame, baseline: pd.DataFrame, **how: str) -> int:
        found = Report([DataDriftPreset(**how)]).run(*sides(frame, baseline)).dict()["metrics"]
        return next(int(e["value"]["count"]) for e in found if isinstance(e["value"], dict))

    def missing(frame: pd.DataFrame, baseline: pd.DataFrame) -> int:
        metrics = [MissingValueCount(column=name) for name in frame.columns]
        report = Report(metrics, include_tests=True).run(*sides(frame, baseline)).dict()
        # Each metric is tested as a count and as a share. Only shares of unequal sizes compare.
        return sum(str(test["status"]).endswith("FAIL") for test in report["tests"][1::2])

    return {
        "Evidently, default": run,
        "Evidently, KS and chi-square": lambda frame, baseline: run(
            frame, baseline, num_method="ks", cat_method="chisquare"
        ),
        "Evidently, missing values": missing,
    }


def run_evidently(manifest: dict[str, Any]) -> None:
    """Print, for each batch, the number of columns in which Evidently finds drift."""
    reports = evidently_reports(manifest)
    for part in manifest["parts"]:
        baseline = pd.read_parquet(part["baseline"])
        for batch in part["batches"]:
            frame = pd.read_parquet(batch["file"])
            for way, report in reports.items():
                print_result(batch, way, report(frame, baseline))


def run_nannyml(manifest: dict[str, Any]) -> None:
    """Print, for each batch, the number of columns in which NannyML finds drift.

    Each calculator is fitted on a baseline in chunks of the batch's size, and then gets all batches
    with the same columns, one chunk each.
    """
    for part in manifest["parts"]:
        baseline = pd.read_parquet(part["baseline"])
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        frames = {each["file"]: pd.read_parquet(each["file"]) for each in part["batches"]}
        for batch in part["batches"]:
            groups.setdefault(tuple(frames[batch["file"]].columns), []).append(batch)
        for names, batches in groups.items():
            together = pd.concat([frames[each["file"]] for each in batches], ignore_index=True)
            size = batches[0]["size"]
            for calculator, ways in nannyml_calculators(manifest, list(names), size):
                calculator.fit(baseline[list(names)])
                found = calculator.calculate(together).filter(period="analysis").to_df()
                for way, methods in ways.items():
                    places = [
                        place
                        for place in found.columns
                        if place[-1] == "alert" and (not methods or place[1] in methods)
                    ]
                    for batch, alerts in zip(batches, found[places].sum(axis=1), strict=True):
                        print_result(batch, way, int(alerts))


def nannyml_calculators(
    manifest: dict[str, Any], names: list[str], size: int
) -> list[tuple[Any, dict[str, tuple[str, ...]]]]:
    """Return calculators for some columns, each with its ways and the methods of a way."""
    import nannyml

    categories = [name for name in manifest["categories"] if name in names]
    methods = {
        "NannyML, Jensen-Shannon (default)": ("jensen_shannon",),
        "NannyML, KS and chi-square": ("kolmogorov_smirnov", "chi2"),
    }
    univariate = nannyml.UnivariateDriftCalculator(
        column_names=names,
        treat_as_categorical=categories,
        chunk_size=size,
        continuous_methods=["jensen_shannon", "kolmogorov_smirnov"],
        categorical_methods=["jensen_shannon", "chi2"],
    )
    missing = nannyml.MissingValuesCalculator(column_names=names, chunk_size=size)
    found: list[tuple[Any, dict[str, tuple[str, ...]]]] = [
        (univariate, methods),
        (missing, {"NannyML, missing values": ()}),
    ]
    if categories:
        unseen = nannyml.UnseenValuesCalculator(column_names=categories, chunk_size=size)
        found.append((unseen, {"NannyML, unseen values": ()}))
    if len(names) > 1:
        plane = nannyml.DataReconstructionDriftCalculator(column_names=names, chunk_size=size)
        domain = nannyml.DomainClassifierCalculator(
            feature_column_names=names,
            chunk_size=size,
            # LightGBM's defaults, as NannyML's, but with one thread: Evidently runs beside it.
            hyperparameters={"n_jobs": 1, "random_state": 13, "verbosity": -1},
        )
        found.append((plane, {"NannyML, reconstruction": ()}))
        found.append((domain, {"NannyML, domain classifier": ()}))
    return found


def run_time(manifest: dict[str, Any]) -> None:
    """Print the seconds that each repetition of Evidently's preset takes, after a warm-up."""
    baseline, frame = (pd.read_parquet(manifest[side]) for side in ("baseline", "batch"))
    report = evidently_reports(manifest)["Evidently, default"]
    report(frame.head(2000), baseline.head(2000))
    for _ in range(manifest["repetitions"]):
        started = time.perf_counter()
        report(frame, baseline)
        print(json.dumps({"seconds": time.perf_counter() - started}), flush=True)  # noqa: T201


def print_result(batch: dict[str, Any], way: str, drifted: int) -> None:
    """Print the result of one batch as a line of JSON."""
    print(json.dumps({**batch, "way": way, "drifted": drifted}), flush=True)  # noqa: T201


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    what, where = sys.argv[1], Path(sys.argv[2])
    runs = {"evidently": run_evidently, "nannyml": run_nannyml, "time": run_time}
    runs[what](json.loads((where / "manifest.json").read_text()))
