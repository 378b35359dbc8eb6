"""Write docs/monitoring-figures.md from the stored results of the sections of a calibration."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loan_scoring.lab.calibrate import lending, nights, peers
from loan_scoring.lab.calibrate.figures import (
    AlertShare,
    Figure,
    Found,
    Power,
    false_alarms,
    first_nights,
    night_share,
    nights_of,
    powers,
    required_figures,
    required_powers,
    spread_text,
    stream_share,
    streams,
)
from loan_scoring.lab.calibrate.intake import WAYS
from loan_scoring.lab.calibrate.plots import draw_alarms, draw_power, draw_power_by_loans
from loan_scoring.lab.calibrate.run import FOLDER, SECTIONS
from loan_scoring.lab.calibrate.shifts import CORRELATION, SHIFTS

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
        peer_shares = {way: _peer_alarms(found, way) for way in _peer_ways(found)}
        every = powers(found)
        curve = [each for each in every if each.loans == found["drift"]["plan"]["power_size"]]
        plots = {
            "false-alarms.svg": draw_alarms(false_alarms(found), peer_shares),
            "power.svg": draw_power(curve, TITLES),
            "power-by-loans.svg": draw_power_by_loans(required_powers(found), _labels()),
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
        ("False alarms", _alarms(found)),
        ("Detection by size of the batch", _detection(found)),
        ("Detection by size of the shift", _curve(found)),
        ("Nights that differ", _nights(found)),
        ("Outcomes", _outcomes(found)),
        ("Few loans a night", _small(found)),
        ("Loans that nobody tuned on", _held_out(found)),
        ("The peers", _peers(found)),
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


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


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
        *_table(head, rows),
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
        *_table(["figure", "limit", "measured", "verdict"], rows),
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


def _alarms(found: Found) -> list[str]:
    shares = false_alarms(found)
    if not shares:
        return ["Not measured."]
    rows = [[f"{size:,}", str(share.batches), share.as_text()] for size, share in shares.items()]
    causes = [
        f"{text}, {each['loans']:,} loans ({count})"
        for each in found["drift"]["found"]["alarms"]
        for text, count in each["causes"].items()
    ]
    return [
        "Share of undrifted batches with at least one alert of metrics or ingest.",
        "",
        *_table(["loans", "batches", "with an alert"], rows),
        "",
        f"![False alarms by size of the batch]({FOLDER}/false-alarms.svg)",
        "",
        f"Causes: {'; '.join(causes)}." if causes else "No undrifted batch raised an alert.",
    ]


def _labels() -> dict[str, str]:
    labels = {each.name: each.describe(each.required) for each in SHIFTS if each.required}
    return labels | {CORRELATION: "correlation broken"}


def _power_rows(chosen: Sequence[Power]) -> list[list[str]]:
    return [
        [
            each.label,
            f"{each.loans:,}",
            f"{each.hardest_found.batches} x {each.columns}",
            f"{100 * each.found.value:.1f} %",
            each.on_hardest,
            *(f"{100 * each.ways[way]:.0f} %" for way in WAYS),
        ]
        for each in chosen
    ]


def _detection(found: Found) -> list[str]:
    head = ["shift", "loans", "batches x columns", "found", "hardest column"]
    if "drift" not in found:
        return ["Not measured."]
    pairs = "; ".join(f"{a} and {b} {r:+.2f}" for a, b, r in found["drift"]["found"]["pairs"])
    return [
        "The last three columns say which share of the found shifts each way found; several ways",
        "may find the same.",
        "",
        *_table([*head, *(f"by {way}" for way in WAYS)], _power_rows(required_powers(found))),
        "",
        f"![Power by size of the batch]({FOLDER}/power-by-loans.svg)",
        "",
        f"Rank correlations of the strongest pairs: {pairs}.",
    ]


def _curve(found: Found) -> list[str]:
    if "drift" not in found:
        return ["Not measured."]
    size = found["drift"]["plan"]["power_size"]
    chosen = [each for each in powers(found) if each.loans == size]
    return [
        f"In batches of {size:,} loans.",
        "",
        f"![Power by size of the shift]({FOLDER}/power.svg)",
        "",
        *_table(
            ["shift", "all columns", "hardest column"],
            [[e.label, f"{100 * e.found.value:.1f} %", e.on_hardest] for e in chosen],
        ),
    ]


def _nights(found: Found) -> list[str]:
    if "nights" not in found:
        return ["Not measured."]
    sizes = found["nights"]["plan"]["night_sizes"]
    rows, shifted, creeping = [], [], []
    for name in nights.VARYING:
        for size in sizes:
            repeats = nights_of(found, name, size)
            before, after = (night_share(repeats, key) for key in ("before", "after"))
            rows.append([name, f"{size:,}", before.as_text(), after.as_text()])
            for shift in repeats[0]["found"]:
                hits = [AlertShare(*each["found"][shift]) for each in repeats]
                share = AlertShare(sum(e.hits for e in hits), sum(e.batches for e in hits))
                shifted.append([name, shift, f"{size:,}", share.as_text()])
    for name in nights.CREEPING:
        for size in sizes:
            repeats = nights_of(found, name, size)
            if repeats:
                text = spread_text(first_nights(repeats, "nights"))
                creeping.append([name, f"{size:,}", text])
    return [
        f"{nights.WEEKS} weeks of nights from the pool against one baseline, "
        f"{found['nights']['plan']['repeats']} times. *Weekend*: on Saturday and Sunday a",
        "minority level has 8/14 of its usual share. *Night mix*: each night's mean of one number",
        f"is moved by a normal variable of {nights.MIX:g} standard deviations. Nothing drifts.",
        f"Nights of one repetition share a baseline and are not independent. From week "
        f"{nights.FROM_WEEK} on usual nights are known.",
        "",
        *_table(["nights", "loans", "first weeks", f"from week {nights.FROM_WEEK}"], rows),
        "",
        f"Shifts in the week after these {nights.WEEKS} weeks, found on the shifted column:",
        "",
        *_table(["nights", "shift", "loans", "found"], shifted),
        "",
        "A number that grows by 1 % a night, nights to the first alert on it:",
        "",
        *_table(["creep", "loans", "nights to the first alert"], creeping),
    ]


def _outcome_rows(found: Found, section: str) -> list[list[str]]:
    rows = []
    for repeats in streams(found, section).values():
        scenario = repeats[0]["scenario"]
        if scenario["loans"] == lending.FEW:
            continue
        kind = "drawn" if scenario["is_drawn"] else "of the file"
        kind += f", rho {scenario['rho']:g}" if scenario["rho"] else ""
        change = "none"
        if scenario["worsened"] or scenario["shuffled"]:
            change = "target_shift" if scenario["worsened"] else "model_shift"
        shares = [stream_share(repeats, key).as_text() for key in ("one_night", "either")]
        first = spread_text(first_nights(repeats)) if change != "none" else ""
        rows.append([change, scenario["known"], scenario["mix"], kind, *shares, first])
    return rows


def _outcomes(found: Found) -> list[str]:
    if "lending" not in found:
        return ["Not measured."]
    head = ["change", "outcomes of", "applicants", "outcomes", "nights with an alert of one night",
            "with any alert", "nights to the first alert"]  # fmt: skip
    return [
        f"Nights of {lending.LOANS:,} scored loans, in streams of {lending.STREAM}. *Drawn*",
        "outcomes follow the corrected probabilities, so the model is correct; *of the file* are",
        "the loans' own, where a changed mix may also show that the model is wrong for some.",
        "*Any alert* adds the tests that accumulate over nights. The changes are those of the",
        "contract's replay.",
        "",
        *_table(head, _outcome_rows(found, "lending")),
    ]


def _small(found: Found) -> list[str]:
    rows = []
    for repeats in streams(found).values():
        scenario = repeats[0]["scenario"]
        if scenario["loans"] == lending.FEW:
            alarms = sum(each["alarms"] for each in repeats) / len(repeats)
            first = spread_text(first_nights(repeats))
            change = f"+ {100 * scenario['rise']:g} points" if scenario["rise"] else "none"
            rows.append([change, f"{scenario['rho']:g}", f"{alarms:.2f}", first])
    if not rows:
        return ["Not measured."]
    head = ["default rate", "rho", "alarms in a run", "nights to the first alert"]
    return [
        f"{lending.FEW} scored loans a night for {lending.YEARS} years, outcomes drawn.",
        "",
        *_table(head, rows),
    ]


def _held_out(found: Found) -> list[str]:
    if "held_out" not in found:
        return ["Not measured."]
    section = found["held_out"]
    rows = [[f"{n:,}", s.as_text()] for n, s in false_alarms(found, "held_out").items()]
    head = ["shift", "loans", "batches x columns", "found", "hardest column"]
    outcomes = _outcome_rows(found, "held_out")
    return [
        f"The model is fitted on {section['model_rows']:,} loans; {section['pool_rows']:,} are left",
        "for baselines and batches.",
        "",
        *_table(["loans", "undrifted batches with an alert"], rows),
        "",
        *_table(
            [*head, *(f"by {way}" for way in WAYS)],
            _power_rows(required_powers(found, "held_out")),
        ),
        "",
        *_table(
            ["change", "outcomes of", "applicants", "outcomes", "one night", "any alert", "first"],
            outcomes,
        ),
    ]


def _counts(found: Found) -> dict[tuple[str, str, int], AlertShare]:
    rows: list[dict[str, Any]] = found["peers"]["found"]["counts"] if "peers" in found else []
    return {(e["way"], e["shift"], e["loans"]): AlertShare(e["alerts"], e["batches"]) for e in rows}


def _peer_ways(found: Found) -> list[str]:
    return list(dict.fromkeys(way for way, _, _ in _counts(found)))


def _peer_alarms(found: Found, way: str) -> dict[int, AlertShare]:
    return {n: e for (of, kind, n), e in _counts(found).items() if (of, kind) == (way, peers.NONE)}


def _peers(found: Found) -> list[str]:
    counts = _counts(found)
    if not counts:
        return [
            "Evidently and NannyML were not measured: section peers was not run, or their",
            "environment could not be set up on this machine.",
        ]
    size = max(peers.SIZES)
    kinds = [peers.NONE, *(kind for kind in _labels() if (kind, size) in {k[1:] for k in counts})]
    head = [
        "way",
        *(f"false alarms, {n:,}" for n in peers.SIZES),
        *(f"{_labels()[kind]}, {size:,}" for kind in kinds[1:]),
    ]
    keys = [*((peers.NONE, n) for n in peers.SIZES), *((kind, size) for kind in kinds[1:])]
    rows = [[way, *(_cell(counts.get((way, *key))) for key in keys)] for way in _peer_ways(found)]
    return [
        "Each has at least 50 batches of a kind, inputs only, as typed values. A baseline has",
        f"{peers.CHUNKS} chunks of the batch's size, drawn from 60 % of the pool (for {size:,} loans",
        "with repetition), and 10 batches of each kind from the rest. 20,000 loans are left out,",
        "because 20 chunks are more than the pool. An alert on any column counts. *Default* is",
        "what they do without settings; *KS and chi-square* are the same with these tests. NannyML's",
        "other calculators have their default thresholds. A shift is applied to one column in turn,",
        "and the peers compare that column alone; for a broken correlation, all columns.",
        "",
        *_table(head, rows),
    ]


def _cell(share: AlertShare | None) -> str:
    return f"{share.as_text()} of {share.batches}" if share else "not measured"
