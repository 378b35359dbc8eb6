"""Draw the plots of the calibration page as SVG: false alarms by batch size, power by shift."""

from typing import Any

from loan_scoring.lab.calibrate.figures import MAX_FALSE_ALARMS, AlertShare, Power
from loan_scoring.models.card.plots import DEFAULTED, PAID, QUIET, as_svg

PEERS = (
    "#8a5fb0", "#b58cd1", "#d9c3e8", "#2f6f49", "#3f8f5f", "#62ab7d", "#86c29b", "#aed6bd",
    "#d0e8d8",
)  # fmt: skip


@as_svg
def draw_alarms(
    figure: Any, ours: dict[int, AlertShare], peers: dict[str, dict[int, AlertShare]]
) -> None:
    """Draw the share of undrifted batches with an alert, with intervals.

    There is one line for loan-scoring and one for each peer.
    """
    figure.set_size_inches(7.6, 3.9)
    axes = figure.subplots()
    lines = [("loan-scoring", ours, DEFAULTED)]
    lines += [(way, peers[way], color) for way, color in zip(peers, PEERS, strict=False)]
    for place, (name, shares, color) in enumerate(lines):
        sizes = [size * 1.05**place for size in shares]
        values = [100 * share.value for share in shares.values()]
        low = [100 * max(share.value - share.interval[0], 0) for share in shares.values()]
        high = [100 * max(share.interval[1] - share.value, 0) for share in shares.values()]
        axes.errorbar(sizes, values, [low, high], color=color, marker="o", ms=4, lw=1.5, label=name)
    axes.axhline(100 * MAX_FALSE_ALARMS, color=QUIET, ls="--", lw=1)
    axes.set(xscale="log", xlabel="loans in the batch", ylabel="undrifted batches with an alert, %")
    axes.set(ylim=(-3, 103), xticks=list(ours), xticklabels=[f"{size:,}" for size in ours])
    axes.minorticks_off()
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))


@as_svg
def draw_power(figure: Any, found: list[Power], titles: dict[str, str]) -> None:
    """Draw the power by size of the shift.

    The power is drawn over all columns, and on the hardest column (see `Power`).
    """
    figure.set_size_inches(9.0, 5.2)
    panels = figure.subplots(2, 3).ravel()
    for axes, (shift, title) in zip(panels, titles.items(), strict=False):
        points = [each for each in found if each.shift == shift]
        places = range(len(points))
        every = [100 * each.found.value for each in points]
        least = [100 * each.hardest_found.value for each in points]
        axes.plot(places, every, color=PAID, marker="o", ms=4, label="all columns")
        axes.plot(
            places, least, color=DEFAULTED, marker="o", ms=3, lw=1, label="the hardest column"
        )
        axes.axhline(95, color=QUIET, ls="--", lw=1)
        axes.set(ylim=(-3, 103), xticks=places, xticklabels=[f"{each.size:g}" for each in points])
        axes.set_title(title, fontsize=10)
        axes.tick_params(labelsize=8)
    for axes in panels[len(titles) :]:
        axes.set_visible(False)
    panels[0].set_ylabel("batches found, %")
    panels[0].legend(fontsize=8)


@as_svg
def draw_power_by_loans(figure: Any, found: list[Power], labels: dict[str, str]) -> None:
    """Draw the power by size of the batch: over all columns, and on the hardest column."""
    figure.set_size_inches(9.0, 5.2)
    panels = figure.subplots(2, 4).ravel()
    for axes, (shift, label) in zip(panels, labels.items(), strict=False):
        points = [each for each in found if each.shift == shift]
        places = range(len(points))
        every = [100 * each.found.value for each in points]
        least = [100 * each.hardest_found.value for each in points]
        axes.plot(places, every, color=PAID, marker="o", ms=4, label="all columns")
        axes.plot(places, least, color=DEFAULTED, marker="o", ms=3, lw=1, label="hardest column")
        axes.axhline(95, color=QUIET, ls="--", lw=1)
        axes.set(ylim=(-3, 103), xticks=places, xticklabels=[f"{each.loans:,}" for each in points])
        axes.set_title(label, fontsize=7)
        axes.tick_params(labelsize=6)
    for axes in panels[len(labels) :]:
        axes.set_visible(False)
    panels[0].set_ylabel("batches found, %")
    panels[0].legend(fontsize=7)
