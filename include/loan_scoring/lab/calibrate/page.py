"""Write docs/monitoring-figures.md from the stored results of the sections of a calibration."""

import json
from collections.abc import Sequence
from pathlib import Path

from loan_scoring.lab.calibrate.figures import (
    Figure,
    Found,
    false_alarms,
    powers,
    required_figures,
    required_powers,
)
from loan_scoring.lab.calibrate.plots import draw_alarms, draw_power, draw_power_by_loans
from loan_scoring.lab.calibrate.run import FOLDER, SECTIONS
from loan_scoring.lab.calibrate.tables import (
    as_table,
    describe_alarms,
    describe_curve,
    describe_detection,
    describe_held_out,
    describe_nights,
    describe_outcomes,
    describe_peers,
    describe_small,
    peer_alarms,
    peer_ways,
    shift_labels,
)

PAGE = "monitoring-figures.md"
TITLES = {
    "mean": "mean, + standard deviations",
    "spread": "spread, times",
    "share": "loans at another level",
    "new_level": "loans at a new level",
    "nulls": "more nulls",
    "scores": "scores, + log-odds",
}
TUNING = """\
Limits were chosen on the same loans that section *drift* draws from: the two thirds of the file
that the model is not fitted on. Version 0.1 took `q`, the floors and the PSI limits from the
literature and changed two things after looking at these loans: bins of frequent values, and
`psi_noise_quantile` from 0.999 to 0.99 ([ADR 13](adr/0013-drift-decision-and-joint-tests.md)).
The present version changed the tests after they were found wanting on these loans: outcomes against
their own expectation, exact tests of rare levels, at most 20 cells of PSI, and nights that differ
(ADR 37 to 40). So figures on these loans may flatter. Section *held_out* is the check: there the
model is fitted on the two thirds, and baselines and batches are the third that nobody chose a limit
on. Its baseline is smaller."""


def load_results(docs: Path) -> Found:
    """Return the stored results of all sections that were run, by name of the section."""
    files = {name: docs / FOLDER / f"{name}.json" for name in SECTIONS}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.is_file()}


def write_figures_page(docs: Path) -> Path:
    """Write the page and its plots from the stored results. Return the path of the page."""
    found = load_results(docs)
    if "drift" in found:
        peer_shares = {way: peer_alarms(found, way) for way in peer_ways(found)}
        every = powers(found)
        curve = [each for each in every if each.loans == found["drift"]["plan"]["power_size"]]
        plots = {
            "false-alarms.svg": draw_alarms(false_alarms(found), peer_shares),
            "power.svg": draw_power(curve, TITLES),
            "power-by-loans.svg": draw_power_by_loans(required_powers(found), shift_labels()),
        }
        for name, content in plots.items():
            (docs / FOLDER / name).write_bytes(content)
    page = docs / PAGE
    page.write_text(render_figures_page(found))
    return page


def render_figures_page(found: Found) -> str:
    """Return the page with the results of a calibration, as Markdown text."""
    parts = [
        ("Figures to reach", _figures(required_figures(found))),
        ("How the limits were chosen", TUNING.split("\n")),
        ("Method", _method(found)),
        ("False alarms", describe_alarms(found)),
        ("Detection by size of the batch", describe_detection(found)),
        ("Detection by size of the shift", describe_curve(found)),
        ("Nights that differ", describe_nights(found)),
        ("Outcomes", describe_outcomes(found)),
        ("Few loans a night", describe_small(found)),
        ("Loans that nobody tuned on", describe_held_out(found)),
        ("The peers", describe_peers(found)),
    ]
    lines = [
        "# Monitoring figures",
        "",
        "How often monitoring raises a false alarm, and which changes it finds.",
        "`loan-scoring calibrate` writes this page; do not edit it. Results are kept beside it",
        f"([{FOLDER}]({FOLDER})), so one section can be run again: `--section NAME`.",
        "",
        *_runs(found),
    ]
    for title, text in parts:
        lines += ["", f"## {title}", "", *text]
    return "\n".join(lines) + "\n"


def _runs(found: Found) -> list[str]:
    rows = [
        [name, each["at"], f"{each['minutes']:g}", f"`{each['command']}`", each["source"],
         f"{each['pool_rows']:,}", str(each["seed"]), each["machine"]]
        for name, each in found.items()
    ]  # fmt: skip
    head = ["section", "date", "minutes", "command", "loans of", "loans", "seed", "machine"]
    named = {n: v for each in found.values() for n, v in each["versions"].items()}
    named |= found["peers"]["found"]["versions"] if "peers" in found else {}
    missing = [name for name in SECTIONS if name not in found]
    return [
        *as_table(head, rows),
        "",
        f"Versions: {', '.join(f'{name} {number}' for name, number in named.items())}.",
        *([f"Not measured: {', '.join(missing)}."] if missing else []),
    ]


def _figures(figures: Sequence[Figure]) -> list[str]:
    missed = [each for each in figures if each.is_met is False]
    verdict = f"**{len(missed)} of {len(figures)} figures are missed.**"
    if not missed:
        verdict = f"**All {len(figures)} figures are met.**"
    rows = [[each.what, each.limit, each.measured, each.verdict] for each in figures]
    return [
        f"{verdict} False alarms are judged by the upper limit of the 95 % interval, power by the",
        "share itself.",
        "",
        *as_table(["figure", "limit", "measured", "verdict"], rows),
    ]


def _method(found: Found) -> list[str]:
    if "drift" not in found:
        return ["Not measured."]
    drift = found["drift"]
    return [
        f"A model is fitted on {drift['model_rows']:,} of the loans, a quarter of which fits its",
        "calibration curve; none of them is used again. The others, with their scores, are one",
        "population. Every round splits them at random into a batch of each size and a baseline of",
        "the rest. So baseline and batches share no loan. A quarter of the baseline has",
        "predictions, as the hold-out of a training does. The decision compares",
        f"{drift['found']['compared']} columns, 4 of them predictions, and all inputs together.",
        "Brackets hold 95 % Wilson intervals.",
        "",
        "A shift is written into the text of a file, and the file goes the way of a night: row",
        "rules, quarantine, expectations on nulls and levels, drift tests on the accepted rows.",
        "With other applicants the columns of a ratio follow the shifted one; *ratio broken* is a",
        "fault in one column of the file. A shift is found if there is an alert on its column by",
        "one of three ways: *drift* tests, rows in *quarantine* (or so many that the batch is",
        "refused), or the *quality* expectations of ingest. For a broken correlation, an alert on",
        "all inputs together counts. The joint tests and predictions are those of the batch",
        "before the shift, which can only lower the measured power.",
    ]
