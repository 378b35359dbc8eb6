"""docs/monitoring-figures.md: the figures of a calibration as tables, plots and plain words."""

from pathlib import Path

from loan_scoring.lab.calibrate.figures import (
    LEAST_FOUND,
    MOST_FALSE,
    AlertShare,
    detection_powers,
    false_alarm_causes,
    false_alarms,
    peer_alert_share,
    peers_false_alarms,
    required_powers,
)
from loan_scoring.lab.calibrate.plots import draw_alarms, draw_power
from loan_scoring.lab.calibrate.run import CalibrationResult

PAGE = "monitoring-figures.md"
FOLDER = "monitoring-figures"
TITLES = {
    "mean": "mean, + standard deviations",
    "spread": "spread, times",
    "share": "loans at another level",
    "new_level": "loans at a new level",
    "nulls": "more nulls",
    "scores": "scores, + log-odds",
}


def write_figures_page(measured: CalibrationResult, docs: Path, command: str) -> Path:
    """Write the page and its plots below a folder of documentation; return the page."""
    (docs / FOLDER).mkdir(parents=True, exist_ok=True)
    drawn = {
        "false-alarms.svg": draw_alarms(false_alarms(measured), peers_false_alarms(measured)),
        "power.svg": draw_power(detection_powers(measured), TITLES),
    }
    for name, content in drawn.items():
        (docs / FOLDER / name).write_bytes(content)
    page = docs / PAGE
    page.write_text(render_figures_page(measured, command))
    return page


def _named(source: str) -> str:
    """Return a source as others know it: where it lies on this machine is nobody's concern."""
    return Path(source).name if Path(source).is_absolute() else source


def missed_limits(measured: CalibrationResult) -> list[str]:
    """Return a sentence for each figure that is not reached, none where all are."""
    found = [
        f"{100 * share.value:.1f} % of undrifted batches of {size:,} loans raise an alert"
        for size, share in false_alarms(measured).items()
        if share.value > MOST_FALSE
    ]
    for power in required_powers(measured):
        if power.found.value < LEAST_FOUND:
            found.append(f"{power.label}: found in {100 * power.found.value:.1f} % of batches")
        elif power.hardest_found.value < LEAST_FOUND:
            found.append(
                f"{power.label}: found in {100 * power.hardest_found.value:.1f} % "
                f"of batches where it is laid on {power.hardest}"
            )
    return found


def render_figures_page(measured: CalibrationResult, command: str) -> str:
    """Return the page as Markdown."""
    plan = measured.plan
    lines = [
        "# Monitoring figures",
        "",
        "How often the drift decision of the [contract](data-contract.md#monitoring) cries wolf,",
        "and what it finds. Written by the command below and never by hand; why the decision is as",
        "it is: [ADR 13](adr/0013-drift-decision-and-joint-tests.md).",
        "",
        f"| | |\n| --- | --- |\n| loans | {_named(measured.source)} |",
        f"| command | `{command}` |",
        f"| date | {measured.at:%Y-%m-%d %H:%M} UTC, took {measured.minutes:.0f} minutes |",
        f"| machine | {measured.machine} |",
        f"| versions | {', '.join(f'{n} {v}' for n, v in measured.versions.items())} |",
        f"| seed | {measured.seed} with the number of the round |",
        "",
        *_verdict(measured),
        "",
        "## How",
        "",
        f"A model is fitted on {measured.model_rows:,} of the loans, which take no further part;",
        f"the other {measured.pool_rows:,}, with their scores, are one population. Every round",
        f"deals them anew: batches of {_listed(plan.sizes)} loans, and all the rest",
        f"({measured.pool_rows - sum(plan.sizes):,}) as the baseline, so that baseline and batches",
        "share no loan and rounds are independent draws; no two rounds have the same baseline. Of",
        "a baseline a quarter has predictions, as the hold-out of a training does. Watched are",
        f"{measured.watched} columns, {measured.watched - 4} inputs and 4 predictions, and all",
        "inputs together. Brackets hold 95 % Wilson intervals.",
        "",
        "## False alarms",
        "",
        "Share of undrifted batches with any alert at all.",
        "",
        *_alarms(measured),
        "",
        f"![False alarms by size of the batch]({FOLDER}/false-alarms.svg)",
        "",
        *_culprits(measured),
        "",
        f"## Detection at {plan.power_size:,} loans",
        "",
        "A batch counts where there is an alert on that very column (on all inputs together for a",
        "broken correlation). Each shift is laid on every column that can take it, in turn; the",
        "hardest column is the one on which it was found least often.",
        "",
        *_detection(measured),
        "",
        *_pairs(measured),
        "",
        "## By size of the shift",
        "",
        f"![Power by size of the shift]({FOLDER}/power.svg)",
        "",
        "| shift | all columns | the hardest column |",
        "| --- | --- | --- |",
        *(
            f"| {each.label} | {100 * each.found.value:.1f} % | {each.on_hardest} |"
            for each in detection_powers(measured)
        ),
    ]
    lines += ["", "## The peers", "", *_peers(measured)]
    return "\n".join(lines) + "\n"


def _verdict(measured: CalibrationResult) -> list[str]:
    found = missed_limits(measured)
    least = f"at least {100 * LEAST_FOUND:.0f} % of batches with a shift found"
    if not found:
        return [
            f"**Every figure is reached**: at most {100 * MOST_FALSE:.0f} % of undrifted batches "
            f"with an alert, {least}, on every column.",
        ]
    lines = [f"**Missed** (wanted: at most {100 * MOST_FALSE:.0f} % false alarms, {least}):", ""]
    return [*lines, *(f"- {text}." for text in found)]


def _alarms(measured: CalibrationResult) -> list[str]:
    ways = list(measured.peers)
    lines = [
        f"| loans | batches | loan-scoring | at most 1 % |{''.join(f' {way} |' for way in ways)}",
        f"| --- | --- | --- | --- |{' --- |' * len(ways)}",
    ]
    for size, share in false_alarms(measured).items():
        verdict = "met" if share.value <= MOST_FALSE else "**missed**"
        lines.append(
            f"| {size:,} | {share.batches} | {share.as_text()} | {verdict} |"
            + "".join(_cell(peer_alert_share(measured, way, "none", size)) for way in ways)
        )
    return lines


def _culprits(measured: CalibrationResult) -> list[str]:
    found = false_alarm_causes(measured)
    if not found:
        return ["No undrifted batch raised an alert."]
    return ["What raised them: " + "; ".join(f"{text} ({count})" for text, count in found) + "."]


def _detection(measured: CalibrationResult) -> list[str]:
    ways = list(measured.peers)
    lines = [
        "| shift | batches x columns | found | the hardest column | at least 95 % |"
        + "".join(f" {way} |" for way in ways),
        f"| --- | --- | --- | --- | --- |{' --- |' * len(ways)}",
    ]
    for power in required_powers(measured):
        if power.found.value < LEAST_FOUND:
            verdict = "**missed**"
        elif power.hardest_found.value < LEAST_FOUND:
            verdict = f"met, but **missed** on {power.hardest}"
        else:
            verdict = "met"
        lines.append(
            f"| {power.label} | {power.hardest_found.batches} x {power.columns} "
            f"| {100 * power.found.value:.1f} % "
            f"| {power.on_hardest} | {verdict} |"
            + "".join(
                _cell(peer_alert_share(measured, way, power.shift, measured.plan.power_size))
                for way in ways
            )
        )  # fmt: skip
    return lines


def _pairs(measured: CalibrationResult) -> list[str]:
    told = "; ".join(f"{a} and {b} {r:+.2f}" for a, b, r in measured.pairs)
    return [
        "The correlation is broken by dealing one column's values out again among the loans of the",
        "batch: no column's distribution changes, and columns computed from it are left as they",
        f"were. Rank correlations of the strongest pairs: {told}.",
    ]


def _peers(measured: CalibrationResult) -> list[str]:
    if not measured.peers:
        return [
            "Evidently and NannyML were not measured: none of their rounds was asked for, or their",
            "environment could not be made on this machine.",
        ]
    return [
        "Evidently's `DataDriftPreset` and NannyML's `UnivariateDriftCalculator` get the same",
        f"baselines and batches of the first {measured.plan.peer_rounds} rounds as Parquet, inputs",
        "only; they are slow, hence fewer batches. An alert is one of any column; Evidently's own",
        "verdict on a data set, half of its columns drifted, is not looked at. *Default* is what",
        "they do when nothing is set (Evidently: Wasserstein or Jensen-Shannon distance over 0.1;",
        "NannyML: Jensen-Shannon distance beyond three standard deviations of the baseline's",
        "chunks); *KS and chi-square* are the same presets with these tests set. A shift is laid",
        "on one column a round, each in its turn, and they are asked about that column alone;",
        "nulls they leave out, and neither preset looks at columns together.",
    ]


def _cell(share: AlertShare | None) -> str:
    return f" {share.as_text()} of {share.batches} |" if share else " not measured |"


def _listed(sizes: tuple[int, ...]) -> str:
    texts = [f"{size:,}" for size in sizes]
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else texts[0]
