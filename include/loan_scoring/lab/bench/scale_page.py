"""Write docs/scale.md: what a filled database cost, and what that means at a larger size."""

import os
import platform
from datetime import date
from pathlib import Path

from loan_scoring.lab.bench.scale import STAGES, AskedQuery, ScaleFigures

MILLION, BILLION = 10**6, 10**9
NIGHT_HOURS = 6
"""Hours between the landing of a night and the time at which its scores are due."""
MOST_SECONDS = 60
"""How long an analyst waits for an answer."""
SLOWEST = 8


def scale_page(found: ScaleFigures, command: str) -> str:
    """Return docs/scale.md as Markdown."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = [
        "# Scale",
        "",
        f"For who plans a machine. `{command}` wrote this page on {date.today():%Y-%m-%d}: "
        f"{found.applications:,} applications in {found.nights} nights of {found.per_night:,}, "
        f"drawn from {found.history:,} loans of {Path(found.source).name}, on {os.cpu_count()} "
        f"cores and {memory:.0f} GiB, Python {platform.python_version()}, Postgres on the same "
        f"machine, load average {os.getloadavg()[1]:.1f} at the end. It takes "
        "the database of the bench, and drops it at the end.",
        "",
        "## Stages",
        "",
        "Each stage of each night is a process of its own, imports included. CPU is that of the "
        "process, without Postgres's.",
        "",
        "| stage | seconds a night, median | first night | last night | CPU, median | peak, MiB | "
        "microseconds a loan |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_stage_line(found, stage) for stage in STAGES),
        "",
        *(training_section(found, command) if found.training else []),
        "## Tables",
        "",
        "With indexes, after `VACUUM ANALYZE`, without what the history of the training takes.",
        "",
        "| table | MiB | bytes an application | at 100 million, GiB | at a billion, GiB |",
        "| --- | ---: | ---: | ---: | ---: |",
        *_table_lines(found),
        "",
        "## Questions",
        "",
        "All statements of [queries](queries.md), asked twice; these are the slowest by the second "
        "time, with what their plan reads.",
        "",
        "| question | seconds | reads |",
        "| --- | ---: | --- |",
        *(
            f"| {each.question} | {each.seconds:.3f} | {each.plan or 'no table'} |"
            for each in _slowest(found)
        ),
        "",
        "## What breaks first",
        "",
        *_limits(found),
    ]
    return "\n".join(lines) + "\n"


def _stage_line(found: ScaleFigures, stage: str) -> str:
    nights = found.stages[stage]
    seconds = found.median(stage, "seconds")
    peak = max(each["peak_memory_bytes"] for each in nights) / 2**20
    return (
        f"| {stage} | {seconds:.1f} | {nights[0]['seconds']:.1f} | {nights[-1]['seconds']:.1f} | "
        f"{found.median(stage, 'cpu_seconds'):.1f} | {peak:.0f} | "
        f"{seconds / found.per_night * MILLION:.1f} |"
    )


def training_section(found: ScaleFigures, command: str) -> list[str]:
    """Return the lines on the training after the nights."""
    lines = [
        "## Training",
        "",
        f"`{command}`: {found.labelled:,} labelled loans, drawn with replacement, of which "
        "`training.max_loans` of the contract bounds those that a training reads "
        "([decision 64](adr/0064-training-in-bounded-memory.md)).",
        "",
        "| stage | seconds | CPU | peak, MiB |",
        "| --- | ---: | ---: | ---: |",
    ]
    for stage, cost in found.training.items():
        lines.append(
            f"| {stage} | {cost['seconds']:,.0f} | {cost['cpu_seconds']:,.0f} | "
            f"{cost['peak_memory_bytes'] / 2**20:,.0f} |"
        )
    return [*lines, ""]


def _table_lines(found: ScaleFigures) -> list[str]:
    sizes = dict(sorted(found.tables.items(), key=lambda each: -each[1]))
    sizes = {name: size for name, size in sizes.items() if size >= 1 << 20}
    sizes["all"] = sum(found.tables.values())
    lines = []
    for name, size in sizes.items():
        each = size / found.applications
        lines.append(
            f"| {name} | {size / 2**20:,.0f} | {each:.0f} | {each * 1e8 / 2**30:,.0f} | "
            f"{each * BILLION / 2**30:,.0f} |"
        )
    return lines


def _slowest(found: ScaleFigures) -> list[AskedQuery]:
    return sorted(found.queries, key=lambda each: -each.seconds)[:SLOWEST]


def _limits(found: ScaleFigures) -> list[str]:
    """Return on paper at which size queries, disk, time and memory come to an end."""
    seconds = sum(found.median(stage, "seconds") for stage in STAGES)
    most = NIGHT_HOURS * 3600 / (seconds / found.per_night)
    peak = {s: max(e["peak_memory_bytes"] for e in found.stages[s]) / 2**20 for s in STAGES}
    worst = max(peak, key=lambda stage: peak[stage])
    bytes_each = sum(found.tables.values()) / found.applications
    slow = _slowest(found)[0]
    at_limit = found.applications * MOST_SECONDS / max(slow.seconds, 1e-3)
    growth = {
        stage: found.stages[stage][-1]["seconds"] / found.stages[stage][0]["seconds"]
        for stage in STAGES
    }
    slower = max(growth, key=lambda stage: growth[stage])
    return [
        "On paper, from the figures above, if nothing else changes:",
        "",
        f"- **A question over all months**: \"{slow.question}\" takes {slow.seconds:.1f} s here "
        f"and grows with the applications, so it takes {MOST_SECONDS} s at "
        f"{at_limit / MILLION:,.0f} million. Ask it of one month, or of "
        "[months as Parquet](operations.md#months-as-parquet).",
        f"- **Disk**: {bytes_each:,.0f} bytes an application are "
        f"{bytes_each * BILLION / 2**40:.1f} TiB at a billion. "
        "[Retention](operations.md#retention) drops whole months.",
        f"- **A night** of {most / MILLION:,.0f} million applications takes {NIGHT_HOURS} hours "
        "on this machine, one stage after the other. Mini-batches run on as many workers as there "
        "are; landing and comparing do not, so more cores of Postgres help those first.",
        f"- **Memory**: {worst} has the highest peak, {peak[worst]:.0f} MiB at {found.per_night:,} "
        "loans a night. Ingest and score hold blocks, metrics holds figures of every loan of the "
        "night. Training holds every labelled loan unless `training.max_loans` of the contract is "
        "given ([decision 64](adr/0064-training-in-bounded-memory.md)).",
        f"- **Slower by the night**: {slower} took {growth[slower]:.2f} times as long on the last "
        "night as on the first. Keys are looked up in one index over all loans.",
    ]  # fmt: skip
