"""Plots as plain plotly objects. A colour is a CSS variable of the page, such as --blue.

plotly renders some HTML in its labels: every name that comes from data goes through `plot_label`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Plot = dict[str, Any]

DECISIONS = {"approve": "--green", "review": "--blue", "decline": "--orange", "refer": "--grey"}
"""The colour of each decision, in the order in which decisions are shown."""

SHORT = 20
"""Characters that fit below a bar."""


def plot_label(text: str, longest: int = 40) -> str:
    """Return text that plotly shows literally, cut to a length.

    >>> plot_label("<b>25-34</b> & more")
    '&lt;b&gt;25-34&lt;/b&gt; &amp; more'
    """
    cut = text if len(text) <= longest else f"{text[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def make_plot(data: list[dict[str, Any]], **layout: Any) -> Plot:
    """Return a plot of traces, with a legend and a hover text for all traces at once."""
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    return {"data": data, "layout": {"legend": legend, "hovermode": "x unified", **layout}}


def nights_axis(nights: Sequence[str]) -> dict[str, Any]:
    """Return an axis with equal steps between nights, and at most 12 labels."""
    shown = list(nights)[:: -(-len(nights) // 12) or 1]
    return {
        "type": "category",
        "categoryarray": list(nights),
        "tickvals": shown,
        "ticktext": [night[5:] for night in shown],
        "tickangle": 0,
        "showgrid": False,
    }


def draw_decisions(nights: Sequence[Mapping[str, Any]]) -> Plot:
    """Draw each night's shares of decisions, stacked."""
    known = [night for night in nights if night["decisions"]]
    totals = [sum(night["decisions"].values()) for night in known]
    data = [
        {
            "type": "bar",
            "name": name,
            "x": [night["batch_id"] for night in known],
            "y": [
                night["decisions"].get(name, 0) / total
                for night, total in zip(known, totals, strict=True)
            ],
            "marker": {"color": colour},
            "hovertemplate": "%{y:.1%}",
        }
        for name, colour in DECISIONS.items()
    ]
    return make_plot(
        data,
        barmode="stack",
        bargap=0.25,
        xaxis=nights_axis([night["batch_id"] for night in nights]),
        yaxis={"tickformat": ".0%", "range": [0, 1]},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
    )


def night_line(
    name: str,
    x: Sequence[str],
    y: Sequence[float | None],
    colour: str,
    spread: tuple[Sequence[float | None], Sequence[float | None]] | None = None,
    form: str = ".3f",
    mode: str = "lines+markers",
) -> dict[str, Any]:
    """Return a line with a mark at each night.

    Args:
        spread: the lower and upper ends of intervals.
        form: the number format of the hover text.
    """
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": mode,
        "name": name,
        "x": list(x),
        "y": list(y),
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour, "size": 6},
        "hovertemplate": f"%{{y:{form}}}",
    }
    if spread is not None:
        lower, upper = spread
        trace["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [_gap(high, value) for high, value in zip(upper, y, strict=True)],
            "arrayminus": [_gap(value, low) for low, value in zip(lower, y, strict=True)],
            "color": colour,
            "thickness": 1,
            "width": 3,
        }
    return trace


def _gap(above: float | None, below: float | None) -> float | None:
    return None if above is None or below is None else max(above - below, 0.0)


def level_line(name: str, x: Sequence[str], at: float, colour: str = "--grey") -> dict[str, Any]:
    """Return a dashed horizontal line."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": list(x),
        "y": [at] * len(x),
        "line": {"color": colour, "width": 1, "dash": "dash"},
        "hovertemplate": "%{y:.3f}",
    }


def draw_side_by_side(
    levels: Sequence[str],
    baseline: Sequence[float],
    batch: Sequence[float],
) -> Plot:
    """Draw the distributions of baseline and batch side by side, as shares.

    Bars are horizontal where a name is long: below vertical bars plotly turns long names and
    omits some.
    """
    is_horizontal = any(len(level) > SHORT for level in levels)
    # Two labels may be equal: positions are numbers, and labels are their ticks.
    places = list(range(len(levels)))
    names = {
        "tickmode": "array",
        "tickvals": places,
        "ticktext": [plot_label(level) for level in levels],
        "showgrid": False,
    }
    shares_axis = {"tickformat": ".0%", "rangemode": "tozero"}
    data = [
        {
            "type": "bar",
            "name": name,
            "marker": {"color": colour},
            **(
                {"orientation": "h", "y": places, "x": shares, "hovertemplate": "%{x:.1%}"}
                if is_horizontal
                else {"x": places, "y": shares, "hovertemplate": "%{y:.1%}"}
            ),
        }
        for name, shares, colour in (
            ("baseline", list(baseline), "--grey"),
            ("batch", list(batch), "--blue"),
        )
    ]
    bars = {"barmode": "group", "bargap": 0.2}
    if is_horizontal:
        downwards = {**names, "autorange": "reversed"}
        return make_plot(data, xaxis=shares_axis, yaxis=downwards, hovermode="y unified", **bars)
    return make_plot(data, xaxis=names, yaxis=shares_axis, **bars)
