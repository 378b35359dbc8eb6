"""The plots and the table of a demonstration's nights."""

from loan_scoring.contract import Contract
from loan_scoring.database import Row
from loan_scoring.lab.demo.judged import nights_outside_interval
from loan_scoring.lab.demo.kinds import MONITORS, SHORT
from loan_scoring.lab.demo.plots import draw_metric, draw_monitors, draw_psi
from loan_scoring.lab.demo.seen import DemoNight, DemoRecord
from loan_scoring.models.card.blocks import Block, Plot, Table, Text
from loan_scoring.monitoring.alerts.words import LABELS

NOT_KNOWN = "not known"


def night_by_night(contract: Contract, seen: DemoRecord) -> list[Block]:
    """Return the four plots, and their figures as a table."""
    rows = [
        (SHORT[kind], [(night.level(kind), _cell(night, kind)) for night in seen.nights])
        for kind in MONITORS
    ]
    lines, told = _psi(contract, seen)
    return [
        Plot(
            draw_monitors(rows, seen.nights),
            "The monitors: grey is stable, yellow attention, red drifted. Inputs and scores: the "
            "largest PSI. Together: how well a night is told from the baseline (AUC, 0.5 is "
            "chance). Performance: AUC of the scores. The other plots shade drifted nights.",
        ),
        Plot(
            draw_psi(contract.monitoring, lines, told, seen.nights),
            "PSI, how far a column's values moved, of each input and of what scoring writes; by "
            "name where it drifted. To be found, a column also needs an adjusted p below "
            f"{contract.monitoring.q:g} and an effect above its floor.",
        ),
        Plot(
            draw_metric("default_rate", "scored loans that default, %", 100, seen.nights),
            "Default rate, estimated on the night from the scores alone and realised once "
            f"outcomes are in, with 95 % intervals. {_outside(seen, 'default_rate')}",
        ),
        Plot(
            draw_metric("auc", "AUC", 1, seen.nights),
            f"How well the scores rank, in the same way. {_outside(seen, 'auc')}",
        ),
        Text(
            "The same as figures: largest PSI of an input, default rate in % and AUC with their "
            "95 % intervals, and the cause of an alert."
        ),
        _table(seen),
    ]


def _cell(night: DemoNight, kind: str) -> str:
    """Return the figure behind a monitor's level on a night, in a few characters."""
    if night.level(kind) is None:
        return NOT_KNOWN
    if kind in ("data", "prediction"):
        return f"{max(each['effect'] for each in night.of(kind) if each['test'] == 'psi'):.2f}"
    if kind == "joint":
        found = [each for each in night.of(kind) if each["test"] == "domain_classifier"]
        return f"{found[0]['statistic']:.2f}"
    value = night.value("default_rate" if kind == "target" else "auc", "realised")
    if value is None:
        return NOT_KNOWN
    return f"{value:.1%}" if kind == "target" else f"{value:.2f}"


def _psi(contract: Contract, seen: DemoRecord) -> tuple[dict[str, list[float]], list[str]]:
    """Return the PSI by night of each column under its label, and the labels that were told of."""
    lines: dict[str, list[float]] = {}
    told: set[str] = set()
    for night in seen.nights:
        for test in [*night.of("data"), *night.of("prediction")]:
            column = contract.by_name.get(test["feature"])
            label = column.label if column else LABELS[test["feature"]]
            if test["feature"] in night.found(test["kind"]):
                told.add(label)
            if test["test"] == "psi":
                lines.setdefault(label, []).append(test["effect"])
    return lines, sorted(told, key=lambda label: -max(lines[label]))


def _outside(seen: DemoRecord, metric: str) -> str:
    found, known = nights_outside_interval(seen, metric)
    if not known:
        return "It is not known of any drifted night."
    if not found:
        return f"It lies within the estimate's interval on all {known} drifted nights."
    said = f"It lies outside the estimate's interval on {found} of {known} drifted nights"
    if 2 * found > known:
        return f"{said}: an estimate goes by the scores, and cannot know better than they do."
    return f"{said}; one in twenty does by chance."


def _table(seen: DemoRecord) -> Table:
    rows = []
    for night in seen.nights:
        inputs = [each for each in night.of("data") if each["test"] == "psi"]
        rows.append(
            [
                night.batch_id,
                f"{max(each['effect'] for each in inputs):.3f}" if inputs else NOT_KNOWN,
                _interval(night.figures.get(("default_rate", "estimated")), 100),
                _interval(night.figures.get(("default_rate", "realised")), 100),
                _interval(night.figures.get(("auc", "estimated")), 1),
                _interval(night.figures.get(("auc", "realised")), 1),
                ", ".join(night.findings) or "none",
            ]
        )
    head = ["night", "PSI", "rate, estimated", "rate, realised", "AUC, estimated", "AUC, realised",
            "cause"]  # fmt: skip
    return Table(head, rows, frozenset(range(6)))


def _interval(row: Row | None, scale: int) -> str:
    if row is None or row["value"] is None:
        return NOT_KNOWN
    digits = 1 if scale == 100 else 3
    values = [row["value"], row["lower"], row["upper"]]
    told = [NOT_KNOWN if value is None else f"{scale * value:.{digits}f}" for value in values]
    return f"{told[0]} [{told[1]}, {told[2]}]"
