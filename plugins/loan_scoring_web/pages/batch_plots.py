"""Draw the plots of a batch: the distribution of scores, and the approval rates of groups."""

from collections.abc import Mapping
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring_web.pages import plots


def draw_scores(
    contract: Contract, model: database.Row, counted: Mapping[str, database.Row]
) -> plots.Plot | None:
    """Draw the score distributions of the batch and of the hold-out, with decision thresholds.

    Return None if no distribution was recorded for the batch.
    """
    histogram = counted.get("default_probability", {}).get("histogram")
    if not histogram:
        return None
    holdout = model["histogram"]
    bins = len(histogram)
    middles = [(bin_ + 0.5) / bins for bin_ in range(bins)]
    curves = [("batch", histogram, "--blue")]
    if holdout:
        pairs = zip(holdout["paid"], holdout["defaulted"], strict=True)
        both = [paid + defaulted for paid, defaulted in pairs]
        curves.insert(0, ("hold-out of the model", both, "--grey"))
    data = [
        {
            "type": "scatter", "mode": "lines", "name": name, "x": middles,
            "y": [count / max(sum(counts), 1) for count in counts],
            "line": {"color": colour, "width": 2, "shape": "hvh"}, "fill": "tozeroy",
            "fillcolor": "rgba(127,127,127,0.12)", "hovertemplate": "%{y:.1%}",
        }
        for name, counts, colour in curves
    ]  # fmt: skip
    limits = (
        (contract.decision.approve_below, "review from"),
        (contract.decision.decline_from, "decline from"),
    )
    return plots.make_plot(
        data,
        xaxis={"title": {"text": "Probability of default"}, "range": [0, 1], "tickformat": ".0%"},
        yaxis={"tickformat": ".0%", "rangemode": "tozero", "title": {"text": "Share of loans"}},
        shapes=[
            {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1,
             "line": {"color": "--text", "width": 1, "dash": "dot"}}
            for at, _ in limits
        ],
        annotations=[
            {"x": at, "y": 1, "yref": "paper", "text": f"{name} {at:g}", "showarrow": False,
             "xanchor": "left", "yanchor": "top", "xshift": 4}
            for at, name in limits
        ],
    )  # fmt: skip


def draw_groups(groups: list[dict[str, Any]]) -> plots.Plot:
    """Draw the approval rate of each group with a confidence interval.

    A hollow mark shows that the group is left out of the fairness comparison.
    """
    # Positions are row numbers, because plotly would draw groups with equal labels at one position.
    names = [plots.plot_label(each["group"]) for each in groups]
    places = list(range(len(groups)))
    rates = [each["approval_rate"] for each in groups]
    trace = {
        "type": "scatter", "mode": "markers", "x": rates, "y": places,
        "marker": {
            "color": "--blue", "size": 9,
            "symbol": ["circle" if each["left_out"] is None else "circle-open" for each in groups],
        },
        "error_x": {
            "type": "data", "symmetric": False, "color": "--blue", "thickness": 1.2, "width": 4,
            "array": [max(each["high"] - each["approval_rate"], 0) for each in groups],
            "arrayminus": [max(each["approval_rate"] - each["low"], 0) for each in groups],
        },
        "hovertemplate": "%{x:.1%}<extra></extra>",
    }  # fmt: skip
    return plots.make_plot(
        [trace],
        hovermode="closest",
        showlegend=False,
        xaxis={"range": [0, 1], "tickformat": ".0%", "title": {"text": "Approval rate"}},
        yaxis={
            "autorange": "reversed", "tickmode": "array", "tickvals": places, "ticktext": names,
        },
    )  # fmt: skip
