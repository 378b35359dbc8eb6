"""What a calibration's rounds add up to: shares with their intervals, against their limits."""

from collections import Counter
from dataclasses import dataclass

from loan_scoring.lab.calibrate.peers import NONE, PeerAlerts
from loan_scoring.lab.calibrate.run import CalibrationResult
from loan_scoring.lab.calibrate.shifts import CORRELATION, SHIFTS
from loan_scoring.statistics.intervals import wilson

MOST_FALSE = 0.01
LEAST_FOUND = 0.95


@dataclass(frozen=True)
class AlertShare:
    """A share of batches with its 95 % Wilson interval."""

    hits: int
    batches: int

    @property
    def value(self) -> float:
        """The share itself."""
        return self.hits / self.batches

    @property
    def interval(self) -> tuple[float, float]:
        """Its interval; Wilson (1927)."""
        return wilson(self.hits, self.batches)

    def as_text(self) -> str:
        """Return the share with its interval, in percent.

        >>> AlertShare(1, 200).as_text()
        '0.5 % [0.1, 2.8]'
        """
        low, high = self.interval
        return f"{100 * self.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


@dataclass(frozen=True)
class Power:
    """How often a shift of one size is found: over all columns, and on the hardest one."""

    shift: str
    label: str
    size: float
    found: AlertShare
    """Of all batches, each drifted column by column."""
    columns: int
    hardest: str
    hardest_found: AlertShare

    @property
    def on_hardest(self) -> str:
        """The share on the hardest column, and its name where it is below that of others."""
        is_one = self.hardest_found.value < self.found.value
        return f"{self.hardest_found.as_text()}{f' {self.hardest}' if is_one else ''}"


def false_alarms(measured: CalibrationResult) -> dict[int, AlertShare]:
    """Return the share of undrifted batches with any alert, by size."""
    return {
        size: AlertShare(
            sum(bool(each.alerts[size]) for each in measured.rounds), len(measured.rounds)
        )
        for size in measured.plan.sizes
    }  # fmt: skip


def false_alarm_causes(measured: CalibrationResult) -> list[tuple[str, int]]:
    """Return what raised false alarms, as `feature: tests, size`, and how often."""
    counted = Counter(
        f"{text}, {size:,} loans"
        for each in measured.rounds
        for size, texts in each.alerts.items()
        for text in texts
    )
    return counted.most_common()


def detection_powers(measured: CalibrationResult) -> list[Power]:
    """Return the power against every shift and size, in the order of SHIFTS, correlation last."""
    kinds = {shift.name: shift for shift in SHIFTS}
    counts: dict[tuple[str, float], dict[str, list[bool]]] = {}
    for each in measured.rounds:
        for (shift, size, name), is_found in each.detected.items():
            counts.setdefault((shift, size), {}).setdefault(name, []).append(is_found)
    found = []
    for (shift, size), by_column in counts.items():
        shares = {name: AlertShare(sum(hits), len(hits)) for name, hits in by_column.items()}
        hardest = min(shares, key=lambda name: shares[name].value)
        whole = AlertShare(
            sum(s.hits for s in shares.values()), sum(s.batches for s in shares.values())
        )
        label = kinds[shift].told(size) if shift in kinds else "correlation broken"
        found.append(Power(shift, label, size, whole, len(shares), hardest, shares[hardest]))
    return found


def required_powers(measured: CalibrationResult) -> list[Power]:
    """Return the power against the shifts that DESIGN section 8 names."""
    sizes = {shift.name: shift.asked for shift in SHIFTS} | {CORRELATION: 0.0}
    return [power for power in detection_powers(measured) if sizes[power.shift] == power.size]


def peer_alert_share(
    measured: CalibrationResult, way: str, shift: str, size: int
) -> AlertShare | None:
    """Return a peer's share of batches with an alert, None where it was not asked."""
    counted = measured.peers.get(way, {}).get((shift, size), PeerAlerts(0, 0))
    return AlertShare(counted.alerts, counted.batches) if counted.batches else None


def peers_false_alarms(measured: CalibrationResult) -> dict[str, dict[int, AlertShare]]:
    """Return the same share of each peer, by size."""
    return {
        way: {
            size: share
            for size in measured.plan.sizes
            if (share := peer_alert_share(measured, way, NONE, size)) is not None
        }
        for way in measured.peers
    }
