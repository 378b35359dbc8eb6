"""Define the result of a benchmark: measurements, and ratios with limits."""

import statistics
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Measurement:
    """One measured quantity. `value` is the median or maximum if there were several runs."""

    name: str
    value: float
    unit: Literal["s", "MiB"]
    note: str = ""


@dataclass(frozen=True)
class LimitedRatio:
    """A ratio of two measurements, or a single measurement, with the limit that it must meet."""

    name: str
    value: float
    limit: float
    is_at_most: bool = True
    unit: Literal["x", "s", "MiB"] = "x"

    @property
    def is_met(self) -> bool:
        """Return whether the value is within the limit."""
        return self.value <= self.limit if self.is_at_most else self.value >= self.limit


@dataclass(frozen=True)
class BenchResult:
    """The result of one benchmark: the stage, the loans, the measurements and the ratios."""

    stage: str
    source: str
    rows: int
    figures: list[Measurement]
    ratios: list[LimitedRatio]

    def as_json(self) -> dict[str, Any]:
        """Return the result as a dictionary for JSON. Each ratio has the key `is_met`."""
        return {
            "stage": self.stage,
            "source": self.source,
            "rows": self.rows,
            "figures": [vars(figure) for figure in self.figures],
            "ratios": [{**vars(ratio), "is_met": ratio.is_met} for ratio in self.ratios],
        }

    def as_text(self) -> str:
        """Return the result as a table in plain text."""
        lines = [f"{self.stage}: {self.rows:,} loans of {self.source}", ""]
        for figure in self.figures:
            note = f"  {figure.note}" if figure.note else ""
            lines.append(
                f"  {figure.name:<36}{_shown(figure.value, figure.unit):>9} {figure.unit:<3}{note}"
            )
        lines.append("")
        for ratio in self.ratios:
            bound = f"{'at most' if ratio.is_at_most else 'at least'} {ratio.limit:g}"
            verdict = "met" if ratio.is_met else "missed"
            value = f"{_shown(ratio.value, ratio.unit):>9} {ratio.unit}"
            lines.append(f"  {ratio.name:<36}{value}    {bound:<13} {verdict}")
        return "\n".join(lines)


def _shown(value: float, unit: str) -> str:
    return f"{value:.4f}" if unit == "s" and value < 0.1 else f"{value:.2f}"


def median_seconds(name: str, measured: list[float], note: str = "") -> Measurement:
    """Return the median of repeated time measurements as one measurement in seconds."""
    return Measurement(name, statistics.median(measured), "s", note)
