"""Compute the figures of a calibration: false-alarm rates and power, with intervals.

Power is the share of shifted batches in which the drift decision finds the shift.
"""

from collections import Counter
from dataclasses import dataclass

from loan_scoring.lab.calibrate.peers import NONE, PeerAlerts
from loan_scoring.lab.calibrate.run import CalibrationResult
from loan_scoring.lab.calibrate.shifts import CORRELATION, SHIFTS
from loan_scoring.statistics.intervals import wilson

MAX_FALSE_ALARMS = 0.01
MIN_POWER = 0.95


@dataclass(frozen=True)
class AlertShare:
    """The share of batches with an alert, and its 95 % Wilson interval."""

    hits: int
    batches: int

    @property
    def value(self) -> float:
        """Return the share of batches with an alert, from 0 to 1."""
        return self.hits / self.batches

    @property
    def interval(self) -> tuple[float, float]:
        """Return the lower and the upper limit of the interval of Wilson (1927)."""
        return wilson(self.hits, self.batches)

    def as_text(self) -> str:
        """Return the share and its interval as text, in percent.

        >>> AlertShare(1, 200).as_text()
        '0.5 % [0.1, 2.8]'
        """
        low, high = self.interval
        return f"{100 * self.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


@dataclass(frozen=True)
class Power:
    """The power for one shift of one size, over all columns and on the hardest column.

    The hardest column is the column on which the shift was found least often.
    """

    shift: str
    label: str
    size: float
    found: AlertShare
    """Share of the tests that found the shift. There is one test for each batch and column."""
    columns: int
    hardest: str
    hardest_found: AlertShare

    @property
    def on_hardest(self) -> str:
        """Return the share on the hardest column as text.

        The text also names the column if this share is lower than the share over all columns.
        """
        is_below = self.hardest_found.value < self.found.value
        return f"{self.hardest_found.as_text()}{f' {self.hardest}' if is_below else ''}"


def false_alarms(measured: CalibrationResult) -> dict[int, AlertShare]:
    """Return, for each batch size, the share of undrifted batches with at least one alert."""
    return {
        size: AlertShare(
            sum(bool(each.alerts[size]) for each in measured.rounds), len(measured.rounds)
        )
        for size in measured.plan.sizes
    }  # fmt: skip


def false_alarm_causes(measured: CalibrationResult) -> list[tuple[str, int]]:
    """Return each cause of a false alarm with its count, the most frequent cause first.

    A cause is a string of the form `feature: tests, 5,000 loans`.
    """
    counted = Counter(
        f"{text}, {size:,} loans"
        for each in measured.rounds
        for size, texts in each.alerts.items()
        for text in texts
    )
    return counted.most_common()


def detection_powers(measured: CalibrationResult) -> list[Power]:
    """Return the power for every shift at every size.

    The shifts are in the order of SHIFTS. The shift CORRELATION is last.
    """
    kinds = {shift.name: shift for shift in SHIFTS}
    counts: dict[tuple[str, float], dict[str, list[bool]]] = {}
    for each in measured.rounds:
        for (shift, size, name), is_found in each.detected.items():
            counts.setdefault((shift, size), {}).setdefault(name, []).append(is_found)
    powers = []
    for (shift, size), by_column in counts.items():
        shares = {name: AlertShare(sum(hits), len(hits)) for name, hits in by_column.items()}
        hardest = min(shares, key=lambda name: shares[name].value)
        overall = AlertShare(
            sum(share.hits for share in shares.values()),
            sum(share.batches for share in shares.values()),
        )
        label = kinds[shift].describe(size) if shift in kinds else "correlation broken"
        powers.append(Power(shift, label, size, overall, len(shares), hardest, shares[hardest]))
    return powers


def required_powers(measured: CalibrationResult) -> list[Power]:
    """Return the power only for the shifts and sizes for which MIN_POWER is required."""
    sizes = {shift.name: shift.required for shift in SHIFTS} | {CORRELATION: 0.0}
    return [power for power in detection_powers(measured) if sizes[power.shift] == power.size]


def peer_alert_share(
    measured: CalibrationResult, way: str, shift: str, size: int
) -> AlertShare | None:
    """Return the share of batches with the given shift and size in which a peer raised an alert.

    Return None if the peer compared no such batch.

    Args:
        measured: result of the calibration.
        way: peer with its settings, such as `Evidently, default`.
        shift: name of the shift.
        size: number of loans in the batch.
    """
    counted = measured.peers.get(way, {}).get((shift, size), PeerAlerts(0, 0))
    return AlertShare(counted.alerts, counted.batches) if counted.batches else None


def peers_false_alarms(measured: CalibrationResult) -> dict[str, dict[int, AlertShare]]:
    """Return, for each peer and batch size, the share of undrifted batches with an alert.

    Sizes for which a peer compared no batch are left out.
    """
    return {
        way: {
            size: share
            for size in measured.plan.sizes
            if (share := peer_alert_share(measured, way, NONE, size)) is not None
        }
        for way in measured.peers
    }
