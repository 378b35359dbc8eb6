"""Build plots as dictionaries in plotly's JSON format.

A colour is the name of a CSS variable, such as --blue. The script static/pages.js replaces the name
by the colour of the current theme. plotly renders HTML in labels, so names that come from data must
be escaped by `plot_label`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Plot = dict[str, Any]

DECISIONS = {"approve": "--green", "review": "--blue", "decline": "--orange", "refer": "--grey"}
"""Colour of each decision. Plots and tables show the decisions in this order."""

SHORT = 20
"""Maximum length in characters of a name that fits below a vertical bar."""


def plot_label(text: str, longest: int = 40) -> str:
    """Cut a string to `longest` characters, and escape HTML so that plotly shows HTML as text.

    >>> plot_label("<b>25-34</b> & more")
    '&lt;b&gt;25-34&lt;/b&gt; &amp; more'
    """
    cut = text if len(text) <= longest else f"{text[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def make_plot(data: list[dict[str, Any]], **layout: Any) -> Plot:
    """Return a plot whose legend is at the top. One hover box shows all traces at an x value."""
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    return {"data": data, "layout": {"legend": legend, "hovermode": "x unified", **layout}}


def nights_axis(nights: Sequence[str]) -> dict[str, Any]:
    """Return a category axis with one position per night and at most 12 labels."""
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
    """Draw one stacked bar per night, which shows the share of each decision."""
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
    """Return a plotly trace with one value per night.

    Args:
        name: name of the trace in the legend.
        x: nights.
        y: value of each night, None if unknown.
        colour: CSS variable of the colour.
        spread: lower bounds and upper bounds of intervals around the values, drawn as error bars.
            None draws no error bars.
        form: number format of the values in the hover box.
        mode: plotly mode of the trace, which is `lines`, `markers` or `lines+markers`.
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
    """Return a plotly trace of a dashed horizontal line at the value `at`."""
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
    """Draw the share of each bin or level in the baseline and in the batch, as bars side by side.

    The bars are horizontal if a name is longer than `SHORT`, because plotly rotates long names
    below vertical bars and omits some of the names.
    """
    is_horizontal = any(len(level) > SHORT for level in levels)
    # Positions are row numbers, because plotly would draw levels with equal labels at one position.
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
