"""Build the plots and the table that show the figures of each night of a demonstration."""

from loan_scoring.contract import Contract
from loan_scoring.database import Row
from loan_scoring.lab.demo.demonstrations import MONITORS, SHORT
from loan_scoring.lab.demo.plots import draw_metric, draw_monitors, draw_psi
from loan_scoring.lab.demo.record import DemoNight, DemoRecord
from loan_scoring.lab.demo.verdicts import nights_outside_interval
from loan_scoring.models.card.blocks import Block, Plot, Table, Text
from loan_scoring.monitoring.alerts.causes import PREDICTION_LABELS

NOT_KNOWN = "not known"


def night_by_night(contract: Contract, record: DemoRecord) -> list[Block]:
    """Return four plots with the figures of each night, and a table of the main figures."""
    rows = [
        (SHORT[kind], [(night.level(kind), _cell(night, kind)) for night in record.nights])
        for kind in MONITORS
    ]
    lines, drifted = _psi(contract, record)
    return [
        Plot(
            draw_monitors(rows, record.nights),
            "The monitors: grey is stable, yellow attention, red drifted. Inputs and scores: the "
            "largest PSI. Together: how well a classifier tells the night from the baseline (AUC, "
            "0.5 is chance). Performance: AUC of the scores. The other plots shade drifted nights.",
        ),
        Plot(
            draw_psi(contract.monitoring, lines, drifted, record.nights),
            "PSI, the size of a column's change, for each input and each output of scoring; "
            "columns that drifted have a name. Drift also needs an adjusted p below "
            f"{contract.monitoring.q:g} and an effect above the column's floor.",
        ),
        Plot(
            draw_metric("default_rate", "scored loans that default, %", 100, record.nights),
            "Default rate with 95 % intervals: estimated on the night from the scores alone, and "
            f"realised when outcomes are known. {_outside(record, 'default_rate')}",
        ),
        Plot(
            draw_metric("auc", "AUC", 1, record.nights),
            f"How well the scores rank, shown in the same way. {_outside(record, 'auc')}",
        ),
        Text(
            "The same in figures: the largest PSI of an input, default rate in % and AUC with "
            "95 % intervals, and the cause of an alert."
        ),
        _table(record),
    ]


def _cell(night: DemoNight, kind: str) -> str:
    """Return the main figure of a monitor on a night, as a short text."""
    if night.level(kind) is None:
        return NOT_KNOWN
    if kind in ("data", "prediction"):
        return f"{max(test['effect'] for test in night.of(kind) if test['test'] == 'psi'):.2f}"
    if kind == "joint":
        found = [test for test in night.of(kind) if test["test"] == "domain_classifier"]
        return f"{found[0]['statistic']:.2f}"
    value = night.value("default_rate" if kind == "target" else "auc", "realised")
    if value is None:
        return NOT_KNOWN
    return f"{value:.1%}" if kind == "target" else f"{value:.2f}"


def _psi(contract: Contract, record: DemoRecord) -> tuple[dict[str, list[float]], list[str]]:
    """Return the PSI of each column by night, and the columns that drifted.

    The drifted columns are in descending order of their largest PSI. Both results contain the
    columns' labels and not their names.
    """
    lines: dict[str, list[float]] = {}
    drifted: set[str] = set()
    for night in record.nights:
        for test in [*night.of("data"), *night.of("prediction")]:
            column = contract.by_name.get(test["feature"])
            label = column.label if column else PREDICTION_LABELS[test["feature"]]
            if test["feature"] in night.found(test["kind"]):
                drifted.add(label)
            if test["test"] == "psi":
                lines.setdefault(label, []).append(test["effect"])
    return lines, sorted(drifted, key=lambda label: -max(lines[label]))


def _outside(record: DemoRecord, metric: str) -> str:
    """Return a sentence that says how often the realised value is outside the estimate's interval.

    Only drifted nights count.
    """
    outside, known = nights_outside_interval(record, metric)
    if not known:
        return "The realised value is not known for any drifted night."
    if not outside:
        return (
            f"The realised value is within the estimate's interval on all {known} drifted nights."
        )
    sentence = (
        f"The realised value is outside the estimate's interval on {outside} of {known} drifted "
        "nights"
    )
    if 2 * outside > known:
        return f"{sentence}: the estimate uses only the scores and cannot know better than they do."
    return f"{sentence}; one in twenty is by chance."


def _table(record: DemoRecord) -> Table:
    rows = []
    for night in record.nights:
        inputs = [test for test in night.of("data") if test["test"] == "psi"]
        rows.append(
            [
                night.batch_id,
                f"{max(test['effect'] for test in inputs):.3f}" if inputs else NOT_KNOWN,
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
    """Return a value with its interval as text, such as `16.5 [15.1, 18.0]`."""
    if row is None or row["value"] is None:
        return NOT_KNOWN
    digits = 1 if scale == 100 else 3
    texts = [
        NOT_KNOWN if row[name] is None else f"{scale * row[name]:.{digits}f}"
        for name in ("value", "lower", "upper")
    ]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"
