"""Describe the results of each section of a calibration as text and tables in Markdown."""

from collections.abc import Sequence
from typing import Any

from loan_scoring.lab.calibrate import lending, nights, peers
from loan_scoring.lab.calibrate.figures import (
    AlertShare,
    Found,
    Power,
    false_alarms,
    first_nights,
    night_share,
    nights_of,
    powers,
    required_powers,
    spread_text,
    stream_share,
    streams,
)
from loan_scoring.lab.calibrate.intake import WAYS
from loan_scoring.lab.calibrate.run import FOLDER
from loan_scoring.lab.calibrate.shifts import CORRELATION, SHIFTS


def as_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def describe_alarms(found: Found) -> list[str]:
    """Return the false alarms of undrifted batches."""
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
        *as_table(["loans", "batches", "with an alert"], rows),
        "",
        f"![False alarms by size of the batch]({FOLDER}/false-alarms.svg)",
        "",
        f"Causes: {'; '.join(causes)}." if causes else "No undrifted batch raised an alert.",
    ]


def shift_labels() -> dict[str, str]:
    """Return a label of each shift for which a power is required, by its name."""
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


def describe_detection(found: Found) -> list[str]:
    """Return the power by size of the batch, with the ways to an alert."""
    head = ["shift", "loans", "batches x columns", "found", "hardest column"]
    if "drift" not in found:
        return ["Not measured."]
    pairs = "; ".join(f"{a} and {b} {r:+.2f}" for a, b, r in found["drift"]["found"]["pairs"])
    return [
        "The last three columns say which share of the found shifts each way found; several ways",
        "may find the same.",
        "",
        *as_table([*head, *(f"by {way}" for way in WAYS)], _power_rows(required_powers(found))),
        "",
        f"![Power by size of the batch]({FOLDER}/power-by-loans.svg)",
        "",
        f"Rank correlations of the strongest pairs: {pairs}.",
    ]


def describe_curve(found: Found) -> list[str]:
    """Return the power by size of the shift."""
    if "drift" not in found:
        return ["Not measured."]
    size = found["drift"]["plan"]["power_size"]
    chosen = [each for each in powers(found) if each.loans == size]
    return [
        f"In batches of {size:,} loans.",
        "",
        f"![Power by size of the shift]({FOLDER}/power.svg)",
        "",
        *as_table(
            ["shift", "all columns", "hardest column"],
            [[e.label, f"{100 * e.found.value:.1f} %", e.on_hardest] for e in chosen],
        ),
    ]


def describe_nights(found: Found) -> list[str]:
    """Return the alerts on nights that differ and repeat, and what is still found."""
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
        *as_table(["nights", "loans", "first weeks", f"from week {nights.FROM_WEEK}"], rows),
        "",
        f"Shifts in the week after these {nights.WEEKS} weeks, found on the shifted column:",
        "",
        *as_table(["nights", "shift", "loans", "found"], shifted),
        "",
        "A number that grows by 1 % a night, nights to the first alert on it:",
        "",
        *as_table(["creep", "loans", "nights to the first alert"], creeping),
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


def describe_outcomes(found: Found) -> list[str]:
    """Return the alerts on outcomes in each scenario."""
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
        *as_table(head, _outcome_rows(found, "lending")),
    ]


def describe_small(found: Found) -> list[str]:
    """Return the alarms of a portfolio with few loans a night."""
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
        *as_table(head, rows),
    ]


def describe_held_out(found: Found) -> list[str]:
    """Return the figures on the loans that nobody tuned on."""
    if "held_out" not in found:
        return ["Not measured."]
    section = found["held_out"]
    rows = [[f"{n:,}", s.as_text()] for n, s in false_alarms(found, "held_out").items()]
    head = ["shift", "loans", "batches x columns", "found", "hardest column"]
    outcomes = _outcome_rows(found, "held_out")
    return [
        f"The model is fitted on {section['model_rows']:,} loans; for baselines and batches",
        f"{section['pool_rows']:,} are left.",
        "",
        *as_table(["loans", "undrifted batches with an alert"], rows),
        "",
        *as_table(
            [*head, *(f"by {way}" for way in WAYS)],
            _power_rows(required_powers(found, "held_out")),
        ),
        "",
        *as_table(
            ["change", "outcomes of", "applicants", "outcomes", "one night", "any alert", "first"],
            outcomes,
        ),
    ]


def _counts(found: Found) -> dict[tuple[str, str, int], AlertShare]:
    rows: list[dict[str, Any]] = found["peers"]["found"]["counts"] if "peers" in found else []
    return {(e["way"], e["shift"], e["loans"]): AlertShare(e["alerts"], e["batches"]) for e in rows}


def peer_ways(found: Found) -> list[str]:
    """Return the names of the peers with their settings."""
    return list(dict.fromkeys(way for way, _, _ in _counts(found)))


def peer_alarms(found: Found, way: str) -> dict[int, AlertShare]:
    """Return the share of undrifted batches with an alert of a peer, by batch size."""
    return {n: e for (of, kind, n), e in _counts(found).items() if (of, kind) == (way, peers.NONE)}


def describe_peers(found: Found) -> list[str]:
    """Return the figures of the peers."""
    counts = _counts(found)
    if not counts:
        return [
            "Evidently and NannyML were not measured: section peers was not run, or their",
            "environment could not be set up on this machine.",
        ]
    size = max(peers.SIZES)
    kinds = [
        peers.NONE,
        *(kind for kind in shift_labels() if (kind, size) in {k[1:] for k in counts}),
    ]
    head = [
        "way",
        *(f"false alarms, {n:,}" for n in peers.SIZES),
        *(f"{shift_labels()[kind]}, {size:,}" for kind in kinds[1:]),
    ]
    keys = [*((peers.NONE, n) for n in peers.SIZES), *((kind, size) for kind in kinds[1:])]
    rows = [[way, *(_cell(counts.get((way, *key))) for key in keys)] for way in peer_ways(found)]
    return [
        "Inputs only, as typed values, at least 50 batches of each kind. A baseline has",
        f"{peers.CHUNKS} chunks of the batch's size, drawn from 60 % of the pool (for {size:,}",
        "loans with repetition), and 10 batches of each kind from the rest. Larger batches",
        "take them hours. An alert on any column counts. *Default*",
        "is what they do without settings; *KS and chi-square* are the same with these tests. The",
        "other calculators of NannyML have their default thresholds. A shift is applied to one",
        "column in turn, and the peers compare that column alone; for a broken correlation, all",
        "columns.",
        "",
        *as_table(head, rows),
    ]


def _cell(share: AlertShare | None) -> str:
    return f"{share.as_text()} of {share.batches}" if share else "not measured"
