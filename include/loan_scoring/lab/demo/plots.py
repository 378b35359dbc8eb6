"""Draw the plots of a demonstration as SVG: monitors, PSI and metrics, each by night."""

from collections.abc import Sequence
from typing import Any

from loan_scoring.contract import MonitoringPolicy
from loan_scoring.lab.demo.record import DemoNight
from loan_scoring.models.card.plots import DEFAULTED, PAID, QUIET, as_svg

COLOURS = {"stable": "#e8ecf0", "attention": "#f2b866", "drifted": "#dd7748", None: "#ffffff"}
LINES = (DEFAULTED, "#8a5fb0", "#3f8f5f", "#b8860b", "#2b9fa3", "#d0549b")
SHADE = "#f3e3d8"
SIZE = (5.6, 3.4)
MIN_PSI = 1e-4
"""Lower end of the PSI axis. Smaller values are not shown, because they mean no drift."""


@as_svg
def draw_monitors(
    figure: Any, rows: list[tuple[str, list[tuple[str | None, str]]]], nights: list[DemoNight]
) -> None:
    """Draw a cell for each monitor and night. The colour shows the level, the text the figure.

    Args:
        figure: figure of matplotlib to draw in.
        rows: name of each monitor, with a pair of level and text for each night.
        nights: nights in calendar order.
    """
    figure.set_size_inches(*SIZE)
    axes = figure.subplots()
    for place, (_, cells) in enumerate(rows):
        for night, (level, text) in enumerate(cells):
            axes.barh(place, 0.94, left=night + 0.03, height=0.9, color=COLOURS[level], lw=0)
            axes.text(night + 0.5, place, text, ha="center", va="center", fontsize=9)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    names = [night.batch_id[5:] for night in nights]
    axes.set_xticks([night + 0.5 for night in range(len(nights))], names)
    axes.set(xlim=(0, len(nights)), ylim=(len(rows) - 0.5, -0.5))
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


@as_svg
def draw_psi(
    figure: Any,
    policy: MonitoringPolicy,
    lines: dict[str, list[float]],
    drifted: Sequence[str],
    nights: list[DemoNight],
) -> None:
    """Draw the PSI of every column by night. Only drifted columns get a colour and a name.

    Args:
        figure: figure of matplotlib to draw in.
        policy: monitoring policy, whose PSI limits are drawn as lines.
        lines: PSI of each night, by label of the column.
        drifted: labels of the columns that drifted, in descending order of the largest PSI.
        nights: nights in calendar order.
    """
    figure.set_size_inches(*SIZE)
    axes = figure.subplots()
    _draw_nights(axes, nights)
    places = range(1, len(nights) + 1)
    rest = [name for name in lines if name not in drifted]
    for place, name in enumerate(rest):
        label = f"{len(rest)} stable columns" if place == 0 else None
        axes.plot(places, lines[name], color=QUIET, lw=0.7, alpha=0.6, label=label)
    for place, name in enumerate(drifted):
        color = LINES[place % len(LINES)]
        axes.plot(places, lines[name], color=color, marker="o", ms=4, lw=1.8, label=name)
    for value, name in ((policy.psi_attention, "attention"), (policy.psi_drifted, "drifted")):
        axes.axhline(value, color="#333", lw=0.8, ls=":")
        axes.annotate(
            f"{name} from {value:g}", (0.52, value), va="bottom", fontsize=8, color="#333"
        )
    top = max([policy.psi_drifted, *(value for line in lines.values() for value in line)])
    axes.set(ylabel="PSI", yscale="log", ylim=(MIN_PSI, 3 * top))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    figure.legend(fontsize=8, loc="outside lower center", ncols=3, columnspacing=1)


@as_svg
def draw_metric(figure: Any, metric: str, label: str, scale: int, nights: list[DemoNight]) -> None:
    """Draw a metric by night: estimated and realised values with intervals, and the baseline."""
    figure.set_size_inches(*SIZE)
    axes = figure.subplots()
    _draw_nights(axes, nights)
    baseline = None
    for basis, color, offset, marker in (
        ("estimated", PAID, -0.08, "s"),
        ("realised", DEFAULTED, 0.08, "o"),
    ):
        rows = [
            (place + offset, row)
            for place, night in enumerate(nights, 1)
            if (row := night.figures.get((metric, basis))) is not None and row["value"] is not None
        ]
        if not rows:
            continue
        values = [scale * row["value"] for _, row in rows]
        low = [scale * max(row["value"] - (row["lower"] or row["value"]), 0) for _, row in rows]
        high = [scale * max((row["upper"] or row["value"]) - row["value"], 0) for _, row in rows]
        axes.errorbar(
            [place for place, _ in rows], values, [low, high], fmt=marker, ms=5, capsize=3, lw=1.3,
            color=color, label=basis, mfc="white" if basis == "estimated" else color,
        )  # fmt: skip
        baseline = rows[0][1]["baseline"] if baseline is None else baseline
    if baseline is not None:
        axes.axhline(scale * baseline, color=QUIET, ls="--", lw=1, label="on the hold-out")
    axes.set_ylabel(label)
    axes.margins(y=0.2)
    figure.legend(fontsize=8, loc="outside lower center", ncols=3)


def _draw_nights(axes: Any, nights: list[DemoNight]) -> None:
    """Label the axis with the nights, and shade the nights to which the scenario was applied."""
    drifted = [place for place, night in enumerate(nights, 1) if night.is_drifted]
    axes.axvspan(min(drifted) - 0.5, max(drifted) + 0.5, color=SHADE, lw=0, zorder=0)
    axes.set(xlim=(0.5, len(nights) + 0.5))
    axes.set_xticks(range(1, len(nights) + 1), [night.batch_id[5:] for night in nights])
    axes.grid(visible=False, axis="x")
