"""Draw the plots of a model card as SVG from the stored evaluation of the model.

The same evaluation gives the same bytes every time.
"""

import hashlib
import io
import logging
import pickle
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from loan_scoring.contract import Contract
from loan_scoring.models.cutoffs import Cutoff

PAID, DEFAULTED, QUIET = "#2b6ca3", "#c8551b", "#8a8f98"

STYLE: Any = {
    "figure.figsize": (5.6, 3.9),
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e7e9ec",
    "legend.frameon": False,
    "svg.fonttype": "path",
    "text.parse_math": False,  # because the name of a level may contain a dollar sign
    "svg.hashsalt": "loan-scoring",
}

Draw = Callable[..., None]

MOST_DRAWN = 200
_drawn: dict[bytes, bytes] = {}
_drawing = threading.Lock()


def as_svg(draw: Draw) -> Callable[..., bytes]:
    """Decorate a function that draws on a figure.

    The decorated function creates the figure, draws on it and returns it as SVG. A process keeps
    the last MOST_DRAWN plots, by what they are drawn from, because a card has a dozen of them, and
    each takes a tenth of a second. Threads draw one after the other, because matplotlib's style is
    one for the process.
    """

    @wraps(draw)
    def make(*values: Any) -> bytes:
        key = hashlib.sha256(pickle.dumps((draw.__module__, draw.__name__, values))).digest()
        with _drawing:
            if key not in _drawn:
                while len(_drawn) >= MOST_DRAWN:
                    del _drawn[next(iter(_drawn))]
                _drawn[key] = svg(*values)
            return _drawn[key]

    def svg(*values: Any) -> bytes:
        import matplotlib as mpl
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        logging.getLogger("matplotlib").setLevel(
            logging.WARNING
        )  # hides matplotlib's message about building its font cache
        with mpl.rc_context(STYLE):
            figure = Figure()
            draw(figure, *values)
            content = io.BytesIO()
            FigureCanvasSVG(figure).print_svg(content, metadata={"Date": None, "Creator": None})
        return content.getvalue()

    return make


@as_svg
def draw_roc(figure: Any, evaluation: dict[str, Any], auc: float) -> None:
    """Draw the ROC curve, and the diagonal that random scores would give."""
    axes = figure.subplots()
    false_positive, true_positive = zip(*evaluation["roc"], strict=True)
    axes.fill_between(false_positive, true_positive, color=PAID, alpha=0.08, lw=0)
    axes.plot(false_positive, true_positive, color=PAID, lw=2, label=f"model, AUC {auc:.3f}")
    axes.plot([0, 1], [0, 1], color=QUIET, ls="--", lw=1, label="chance")
    axes.set(
        xlabel="paid loans scored above the threshold",
        ylabel="defaults scored above it",
        xlim=(0, 1),
        ylim=(0, 1.01),
    )
    axes.set_aspect("equal")
    axes.legend(loc="lower right")


@as_svg
def draw_calibration(figure: Any, evaluation: dict[str, Any]) -> None:
    """Plot the observed against the predicted default rate of each tenth of the loans."""
    axes = figure.subplots()
    parts = evaluation["deciles"]
    predicted = [part["predicted"] for part in parts]
    observed = [part["observed"] for part in parts]
    reach = [
        [max(part["observed"] - part["low"], 0) for part in parts],
        [max(part["high"] - part["observed"], 0) for part in parts],
    ]
    top = 1.06 * max(*predicted, *(part["high"] for part in parts))
    axes.plot([0, top], [0, top], color=QUIET, ls="--", lw=1, label="perfect")
    axes.errorbar(
        predicted, observed, yerr=reach, fmt="o", ms=5, color=PAID, capsize=3, lw=1.2,
        label="tenth of the loans, 95 % interval",
    )  # fmt: skip
    axes.set(
        xlabel="predicted default rate",
        ylabel="observed default rate",
        xlim=(0, top),
        ylim=(0, top),
    )
    axes.set_aspect("equal")
    axes.legend(loc="upper left")


@as_svg
def draw_histogram(figure: Any, evaluation: dict[str, Any], contract: Contract) -> None:
    """Draw two score histograms, of paid and of defaulted loans, and the decision thresholds.

    The bars of each histogram add up to 1.
    """
    axes = figure.subplots()
    edges = evaluation["histogram"]["edges"]
    for name, color in (("paid", PAID), ("defaulted", DEFAULTED)):
        counts = evaluation["histogram"][name]
        total = max(sum(counts), 1)
        axes.stairs([count / total for count in counts], edges, fill=True, color=color, alpha=0.28)
        axes.stairs(
            [count / total for count in counts], edges, color=color, lw=1.5,
            label=f"{name}, {total:,} loans",
        )  # fmt: skip
    policy = contract.decision
    for threshold, word in ((policy.approve_below, "review"), (policy.decline_from, "decline")):
        axes.axvline(threshold, color="#333", lw=1, ls=":")
        axes.annotate(
            f" {word} from {threshold:g}", (threshold, 1), xycoords=("data", "axes fraction"),
            va="top", fontsize=9, color="#333",
        )  # fmt: skip
    axes.set(xlabel="predicted default probability", ylabel="share of its loans", xlim=(0, 1))
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    axes.legend(loc="center right")


@as_svg
def draw_importance(figure: Any, evaluation: dict[str, Any], contract: Contract) -> None:
    """Draw the permutation importance of the 20 most important features, the largest on top."""
    features = evaluation["importance"]["features"][:20][::-1]
    figure.set_size_inches(5.6, 1.2 + 0.24 * len(features))
    axes = figure.subplots()
    names = [contract.by_name[each["feature"]].label for each in features]
    axes.barh(
        range(len(names)), [each["mean"] for each in features], color=PAID, height=0.66,
        xerr=[each["deviation"] for each in features], error_kw={"lw": 1, "ecolor": "#333"},
    )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="AUC lost when the values are shuffled")


@as_svg
def draw_approval(figure: Any, parity: dict[str, Any], title: str) -> None:
    """Draw the approval rate of each group of an attribute with its interval.

    A hollow point is a group that is left out of the demographic parity ratio.
    """
    groups = parity["groups"][::-1]
    figure.set_size_inches(5.6, 1.1 + 0.3 * len(groups))
    axes = figure.subplots()
    for place, group in enumerate(groups):
        is_compared = group["left_out"] is None
        axes.errorbar(
            group["approval_rate"], place, fmt="o", ms=6, color=PAID if is_compared else QUIET,
            mfc=None if is_compared else "white", capsize=3, lw=1.2,
            xerr=[[max(group["approval_rate"] - group["low"], 0)],
                  [max(group["high"] - group["approval_rate"], 0)]],
        )  # fmt: skip
    axes.set_yticks(range(len(groups)), [f"{each['group']} ({each['rows']:,})" for each in groups])
    axes.set_ylim(-0.6, len(groups) - 0.4)
    axes.set(xlabel="approved, 95 % interval", title=title, xlim=(0, 1))
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")


@as_svg
def draw_grades(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the predicted and the observed default rate of each grade, with its interval."""
    axes = figure.subplots()
    shown = [(place, row) for place, row in enumerate(rows) if row["loans"]]
    axes.errorbar(
        [place for place, _ in shown], [row["default_rate"] for _, row in shown],
        yerr=[[max(row["default_rate"] - row["lower"], 0) for _, row in shown],
              [max(row["upper"] - row["default_rate"], 0) for _, row in shown]],
        fmt="o", ms=5, color=PAID, capsize=3, lw=1.2, label="observed, 95 % interval",
    )  # fmt: skip
    axes.plot(
        [place for place, _ in shown], [row["expected"] for _, row in shown], "_", ms=16, mew=2,
        color=DEFAULTED, label="predicted",
    )  # fmt: skip
    axes.set_xticks(range(len(rows)), [row["grade"] for row in rows])
    axes.set(xlabel="grade", ylabel="default rate")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    axes.legend(loc="upper left")


@as_svg
def draw_cutoffs(figure: Any, rows: Sequence[Cutoff], policy: Sequence[float]) -> None:
    """Draw the approval rate and the default rate of the approved against the threshold."""
    axes = figure.subplots()
    x = [row.threshold for row in rows]
    axes.plot(x, [row.approval_rate for row in rows], color=PAID, lw=2, label="approved")
    some = [row for row in rows if row.default_rate is not None]
    at = [row.threshold for row in some]
    axes.fill_between(
        at, [row.lower for row in some], [row.upper for row in some], color=DEFAULTED, alpha=0.2,
        lw=0,
    )  # fmt: skip
    axes.plot(
        at, [row.default_rate for row in some], color=DEFAULTED, lw=2, ls="--",
        label="defaulted of the approved, 95 % interval",
    )  # fmt: skip
    for threshold in policy:
        axes.axvline(threshold, color="#333", lw=1, ls=":")
    axes.set(xlabel="approve below", ylabel="share", xlim=(0, max(x)), ylim=(0, 1))
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    axes.legend(loc="center right")
