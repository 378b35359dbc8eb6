"""Draw the two plots of one application: probability within the hold-out, and contributions."""

from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Any

from loan_scoring.contract import Contract
from loan_scoring.desk.application import ApplicationField, DeskApplication
from loan_scoring.desk.words import deciding_percent, points_of_probability, probability_of
from loan_scoring_web.pages.plots import Plot, make_plot, plot_label
from loan_scoring_web.pages.templating import shown_value

STRONGEST = 10
"""Number of inputs that have their own bar in the waterfall plot.

One more bar shows the sum of the contributions of all other inputs.
"""


def share_below(histogram: Mapping[str, Any], chance: float) -> float:
    """Return the share of hold-out loans whose probability of default is below `chance`.

    The share is interpolated, because the histogram has only the number of loans in each bin. The
    loans of a bin are assumed to be evenly spread over the bin.
    """
    edges = histogram["edges"]
    counts = _loans(histogram)
    total = sum(counts)
    less = 0.0
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        less += count * min(max((chance - low) / (high - low), 0.0), 1.0)
    return less / total if total else 0.0


def _loans(histogram: Mapping[str, Any]) -> list[int]:
    """Return the number of loans in each bin: paid plus defaulted loans."""
    pairs = zip(histogram["paid"], histogram["defaulted"], strict=True)
    return [paid + defaulted for paid, defaulted in pairs]


def draw_holdout(contract: Contract, histogram: Mapping[str, Any], chance: float) -> Plot:
    """Draw a histogram of the default probabilities of the hold-out's loans.

    Vertical lines mark the decision thresholds and the default probability of this application.
    """
    edges = histogram["edges"]
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    width = edges[1] - edges[0]
    total = sum(_loans(histogram)) or 1
    bars = [
        {
            "type": "bar",
            "name": name,
            "x": middles,
            "y": [count / total for count in histogram[key]],
            "width": width,
            "marker": {"color": colour},
            "hovertemplate": "%{y:.1%}",
        }
        for key, name, colour in (
            ("paid", "paid", "--grey"),
            ("defaulted", "defaulted", "--orange"),
        )
    ]
    policy = contract.decision
    exact = deciding_percent(chance, (policy.approve_below, policy.decline_from))
    marks: list[tuple[float, str, str, str]] = [
        (policy.approve_below, "approve below", "--dim", "dot"),
        (policy.decline_from, "decline from", "--dim", "dot"),
        (chance, f"this loan: {exact}", "--text", "solid"),
    ]
    return make_plot(
        bars,
        barmode="stack",
        bargap=0,
        xaxis={"tickformat": ".0%", "range": [0, 1], "title": {"text": "Probability of default"}},
        yaxis={"tickformat": ".0%", "title": {"text": "Share of loans"}},
        shapes=[
            {
                "type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper",
                "line": {"color": colour, "dash": dash, "width": 2},
            }
            for at, _, colour, dash in marks
        ],
        annotations=[
            {
                "x": at, "y": 1 - 0.15 * row, "yref": "paper", "text": words, "showarrow": False,
                "xanchor": "left", "xshift": 4, "yanchor": "top", "bgcolor": "--panel",
                "font": {"color": colour},
            }
            for row, (at, words, colour, _) in enumerate(marks)
        ],
    )  # fmt: skip


def draw_waterfall(shown: DeskApplication, in_points: bool = False) -> Plot:
    """Draw a waterfall plot of the contributions, from the base to the application's log-odds.

    With `in_points` the plot goes from the probability at the base to the application's
    probability, in percentage points. The largest absolute contribution comes first.
    """
    given = [each.contribution or 0.0 for each in shown.contributions]
    base = shown.base or 0.0
    if in_points:
        given = [100 * each for each in points_of_probability(base, given)]
        base = 100 * probability_of(base)
    labels = [_label(each) for each in shown.contributions[:STRONGEST]]
    steps = list(zip(labels, given[:STRONGEST], strict=True))
    others = given[STRONGEST:]
    if others:
        steps.append((f"{len(others)} others", sum(others)))
    scale = "Probability of default, %" if in_points else "Log-odds of default"
    names = ["mean of the training loans", *(name for name, _ in steps), scale]
    values = [base, *(step for _, step in steps), base + sum(step for _, step in steps)]
    ends = [0.0, *accumulate(values[:-1])]
    room = 0.12 * (max(ends) - min(ends))  # without room, text beside the longest bars is cut off
    return make_plot(
        [
            {
                "type": "waterfall",
                "orientation": "h",
                "measure": ["absolute", *("relative" for _ in steps), "total"],
                # Positions are row numbers, because plotly would draw equal labels at one position.
                "y": list(range(len(names))),
                "x": values,
                "text": [
                    f"{value:+.2f}" if 0 < place < len(names) - 1 else f"{value:.2f}"
                    for place, value in enumerate(values)
                ],
                # The text of the first and the last bar is inside the bar, because these bars are
                # long and text outside would cover the axis labels.
                "textposition": ["inside", *("outside" for _ in steps), "inside"],
                "insidetextanchor": "end",
                "insidetextfont": {"color": "#ffffff"},
                "cliponaxis": False,
                "hoverinfo": "skip",
                "increasing": {"marker": {"color": "--orange"}},
                "decreasing": {"marker": {"color": "--green"}},
                "totals": {"marker": {"color": "--blue"}},
                "connector": {"line": {"color": "--line", "width": 1}},
            }
        ],
        hovermode=False,
        yaxis={
            "autorange": "reversed", "tickmode": "array", "tickvals": list(range(len(names))),
            "ticktext": [plot_label(name, 60) for name in names], "showgrid": False,
        },
        xaxis={
            "title": {"text": scale}, "zeroline": False,
            "range": [min(ends) - room, max(ends) + room],
        },
        margin={"l": 12, "r": 48, "t": 8, "b": 44},
        showlegend=False,
    )  # fmt: skip


def _label(given: ApplicationField) -> str:
    return f"{given.label}: {shown_value(given.shown)}{_unit(given)}"


def _unit(given: ApplicationField) -> str:
    return f" {given.unit}" if given.unit and given.value is not None else ""
