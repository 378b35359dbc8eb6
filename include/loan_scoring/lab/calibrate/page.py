"""Write docs/monitoring-figures.md, the page with the results of a calibration."""

from pathlib import Path

from loan_scoring.lab.calibrate.figures import (
    MAX_FALSE_ALARMS,
    MIN_POWER,
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
    """Write the page and its plots into the folder `docs`. Return the path of the page."""
    (docs / FOLDER).mkdir(parents=True, exist_ok=True)
    plots = {
        "false-alarms.svg": draw_alarms(false_alarms(measured), peers_false_alarms(measured)),
        "power.svg": draw_power(detection_powers(measured), TITLES),
    }
    for name, content in plots.items():
        (docs / FOLDER / name).write_bytes(content)
    page = docs / PAGE
    page.write_text(render_figures_page(measured, command))
    return page


def _public_name(source: str) -> str:
    """Return the file name of a local source, so that the page shows no folder of this machine.

    A URL or a description is returned unchanged.
    """
    return Path(source).name if Path(source).is_absolute() else source


def missed_limits(measured: CalibrationResult) -> list[str]:
    """Return one sentence for each measured value that misses MAX_FALSE_ALARMS or MIN_POWER."""
    missed = [
        f"{100 * share.value:.1f} % of undrifted batches of {size:,} loans raise an alert"
        for size, share in false_alarms(measured).items()
        if share.value > MAX_FALSE_ALARMS
    ]
    for power in required_powers(measured):
        if power.found.value < MIN_POWER:
            missed.append(f"{power.label}: found in {100 * power.found.value:.1f} % of batches")
        elif power.hardest_found.value < MIN_POWER:
            missed.append(
                f"{power.label}: found in {100 * power.hardest_found.value:.1f} % "
                f"of batches when applied to {power.hardest}"
            )
    return missed


def render_figures_page(measured: CalibrationResult, command: str) -> str:
    """Return the page with the results of a calibration, as Markdown text."""
    plan, columns = measured.plan, measured.compared_columns
    lines = [
        "# Monitoring figures",
        "",
        "How often the drift decision of the [contract](data-contract.md#monitoring) raises a",
        "false alarm, and which shifts it finds. The command below writes this page; do not edit",
        "it. [ADR 13](adr/0013-drift-decision-and-joint-tests.md) explains the decision.",
        "",
        f"| | |\n| --- | --- |\n| loans | {_public_name(measured.source)} |",
        f"| command | `{command}` |",
        f"| date | {measured.at:%Y-%m-%d %H:%M} UTC, took {measured.minutes:.0f} minutes |",
        f"| machine | {measured.machine} |",
        f"| versions | {', '.join(f'{n} {v}' for n, v in measured.versions.items())} |",
        f"| seed | {measured.seed} with the number of the round |",
        "",
        *_verdict(measured),
        "",
        "## Method",
        "",
        f"A model is fitted on {measured.model_rows:,} of the loans, which are not used again.",
        f"The other {measured.pool_rows:,}, with their scores, are one population. Every round",
        f"splits them at random into batches of {_listed(plan.sizes)} loans",
        f"and a baseline of the remaining {measured.pool_rows - sum(plan.sizes):,}. So baseline",
        "and batches share no loan, rounds are independent draws, and no two rounds have the same",
        "baseline. A quarter of the baseline has predictions, as the hold-out of a training does.",
        f"The decision compares {columns} columns, {columns - 4} inputs and 4 predictions,",
        "and all inputs together. Brackets hold 95 % Wilson intervals.",
        "",
        "## False alarms",
        "",
        "Share of undrifted batches with at least one alert.",
        "",
        *_alarms(measured),
        "",
        f"![False alarms by size of the batch]({FOLDER}/false-alarms.svg)",
        "",
        *_causes(measured),
        "",
        f"## Detection at {plan.power_size:,} loans",
        "",
        "A shift counts as found if there is an alert on the shifted column, or, for a broken",
        "correlation, on all inputs together. Each shift is applied to every column of its type,",
        "one at a time. The hardest column is the one on which it was found least often.",
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
    missed = missed_limits(measured)
    power = f"at least {100 * MIN_POWER:.0f} % of batches with a shift found"
    if not missed:
        return [
            f"**Every limit is met**: at most {100 * MAX_FALSE_ALARMS:.0f} % of undrifted batches "
            f"with an alert, {power}, on every column.",
        ]
    lines = [f"**Missed** (limits: at most {100 * MAX_FALSE_ALARMS:.0f} % false alarms, {power}):"]
    return [*lines, "", *(f"- {sentence}." for sentence in missed)]


def _alarms(measured: CalibrationResult) -> list[str]:
    ways = list(measured.peers)
    lines = [
        f"| loans | batches | loan-scoring | at most 1 % |{''.join(f' {way} |' for way in ways)}",
        f"| --- | --- | --- | --- |{' --- |' * len(ways)}",
    ]
    for size, share in false_alarms(measured).items():
        verdict = "met" if share.value <= MAX_FALSE_ALARMS else "**missed**"
        lines.append(
            f"| {size:,} | {share.batches} | {share.as_text()} | {verdict} |"
            + "".join(_cell(peer_alert_share(measured, way, "none", size)) for way in ways)
        )
    return lines


def _causes(measured: CalibrationResult) -> list[str]:
    causes = false_alarm_causes(measured)
    if not causes:
        return ["No undrifted batch raised an alert."]
    return ["Causes: " + "; ".join(f"{text} ({count})" for text, count in causes) + "."]


def _detection(measured: CalibrationResult) -> list[str]:
    ways = list(measured.peers)
    lines = [
        "| shift | batches x columns | found | the hardest column | at least 95 % |"
        + "".join(f" {way} |" for way in ways),
        f"| --- | --- | --- | --- | --- |{' --- |' * len(ways)}",
    ]
    for power in required_powers(measured):
        if power.found.value < MIN_POWER:
            verdict = "**missed**"
        elif power.hardest_found.value < MIN_POWER:
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
    pairs = "; ".join(f"{a} and {b} {r:+.2f}" for a, b, r in measured.pairs)
    return [
        "A correlation is broken by permuting one column's values among the loans of the batch. No",
        "column's distribution changes, and columns computed from the permuted one are not",
        f"recomputed. Rank correlations of the strongest pairs: {pairs}.",
    ]


def _peers(measured: CalibrationResult) -> list[str]:
    if not measured.peers:
        return [
            "Evidently and NannyML were not measured: no rounds were requested for them, or their",
            "environment could not be set up on this machine.",
        ]
    return [
        "Evidently's `DataDriftPreset` and NannyML's `UnivariateDriftCalculator` get the same",
        f"baselines and batches of the first {measured.plan.peer_rounds} rounds as Parquet, inputs",
        "only. They are slow, so there are fewer batches. An alert on any column counts;",
        "Evidently's own verdict on a data set (half of its columns drifted) is not used.",
        "*Default* is what they do without settings (Evidently: Wasserstein or Jensen-Shannon",
        "distance over 0.1; NannyML: Jensen-Shannon distance beyond three standard deviations",
        "of the baseline's chunks). *KS and chi-square* are the same presets with these tests",
        "set. A shift is applied to one column per round, in turn, and the peers compare that",
        "column alone. They leave out nulls, and neither preset compares columns together.",
    ]


def _cell(share: AlertShare | None) -> str:
    return f" {share.as_text()} of {share.batches} |" if share else " not measured |"


def _listed(sizes: tuple[int, ...]) -> str:
    texts = [f"{size:,}" for size in sizes]
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else texts[0]
