"""Draw a benchmark tree as SVG, from left to right, with a line of text for each leaf."""

from typing import Any

from loan_scoring.models.card.plots import DEFAULTED, PAID, QUIET, as_svg

LONGEST = 29
"""The largest number of characters of a condition. A longer one is cut."""


@as_svg
def draw_tree(figure: Any, nodes: list[dict[str, Any]]) -> None:
    """Draw a tree. The bar of a leaf has the share of its loans that defaulted.

    Args:
        figure: figure of matplotlib.
        nodes: nodes as `describe_tree` returns them, parents before children.
    """
    children: dict[int, list[int]] = {}
    for place, node in enumerate(nodes):
        if node["parent"] is not None:
            children.setdefault(node["parent"], []).append(place)
    heights: dict[int, float] = {}
    depths: dict[int, int] = {0: 0}

    def place_below(node: int) -> None:
        """Give each leaf the next row, and each other node the mean of its children."""
        if node not in children:
            heights[node] = sum(1 for each in heights if each not in children)
            return
        for child in children[node]:
            depths[child] = depths[node] + 1
            place_below(child)
        heights[node] = sum(heights[child] for child in children[node]) / len(children[node])

    place_below(0)
    leaves = [place for place in heights if place not in children]
    deepest = max(depths.values())
    figure.set_size_inches(1.8 * deepest + 2.3, 0.6 + 0.42 * len(leaves))
    axes = figure.subplots()
    axes.axis("off")
    bar = deepest + 0.15
    for parent, below in children.items():
        x = depths[parent]
        for child in below:
            y = heights[child]
            axes.plot([x, x, x + 1], [heights[parent], y, y], color=QUIET, lw=1)
            axes.text(x + 0.04, y - 0.08, _cut(nodes[child]["text"]), fontsize=8, va="bottom")
    for leaf in leaves:
        y, node = heights[leaf], nodes[leaf]
        rate = node["defaults"] / node["loans"]
        axes.plot([depths[leaf], bar], [y, y], color=QUIET, lw=0.6, ls=":")
        axes.barh(y, 0.5, height=0.5, left=bar, color=PAID, alpha=0.25)
        axes.barh(y, 0.5 * rate, height=0.5, left=bar, color=DEFAULTED)
        axes.text(bar + 0.55, y, f"{rate:.1%} of {node['loans']:,}", fontsize=8, va="center")
    axes.text(bar, -0.8, "defaulted", fontsize=8, color=DEFAULTED, va="center")
    axes.set_xlim(-0.05, bar + 1.2)
    axes.set_ylim(len(leaves) - 0.4, -1.1)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
