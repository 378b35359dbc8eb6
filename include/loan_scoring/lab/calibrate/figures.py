"""Compute the figures of the page from the results of the sections, with intervals and verdicts.

Power is the share of shifted batches in which an alert finds the shift.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from loan_scoring.lab.calibrate import lending, nights
from loan_scoring.lab.calibrate.intake import WAYS
from loan_scoring.lab.calibrate.shifts import CORRELATION, SHIFTS
from loan_scoring.statistics.intervals import wilson

MAX_FALSE_ALARMS = 0.01
MAX_VARYING, MAX_CONCEPT = 0.02, 0.02
MIN_POWER = 0.95
AT_500 = {"mean": 0.8, "share": 0.6, "nulls": 0.85}
"""The power that is required in batches of 500 loans, over all columns, by shift."""
MOST_CREEPING_NIGHTS, MOST_NIGHTS_TO_RISE, MOST_ALARMS = 8, 60, 1.0

Found = dict[str, Any]
"""Results by section, as `run.run_sections` wrote them."""


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


def total(shares: Iterable[AlertShare]) -> AlertShare:
    """Return the share over all batches of several shares."""
    every = list(shares)
    return AlertShare(sum(each.hits for each in every), sum(each.batches for each in every))


@dataclass(frozen=True)
class Power:
    """The power for one shift of one size in batches of one size.

    The hardest column is the column on which the shift was found least often. `ways` has the share
    of the found shifts that each way found.
    """

    loans: int
    shift: str
    label: str
    size: float
    found: AlertShare
    columns: int
    hardest: str
    hardest_found: AlertShare
    ways: dict[str, float]

    @property
    def on_hardest(self) -> str:
        """Return the share on the hardest column as text.

        The text also names the column if this share is lower than the share over all columns.
        """
        is_below = self.hardest_found.value < self.found.value
        return f"{self.hardest_found.as_text()}{f' {self.hardest}' if is_below else ''}"


@dataclass(frozen=True)
class Figure:
    """One figure that must be reached: what, the limit, the measured value, and whether it is met.

    `is_met` is None if the figure was not measured.
    """

    what: str
    limit: str
    measured: str
    is_met: bool | None

    @property
    def verdict(self) -> str:
        """Return the verdict as text."""
        return {True: "met", False: "**missed**", None: "not measured"}[self.is_met]


def false_alarms(found: Found, section: str = "drift") -> dict[int, AlertShare]:
    """Return, for each batch size, the share of undrifted batches with at least one alert."""
    rows = found[section]["found"]["alarms"] if section in found else []
    return {each["loans"]: AlertShare(each["alerts"], each["batches"]) for each in rows}


def powers(found: Found, section: str = "drift") -> list[Power]:
    """Return the power for every batch size, shift and size of the shift."""
    kinds = {shift.name: shift for shift in SHIFTS}
    order = [*kinds, CORRELATION]
    rows = found[section]["found"]["power"] if section in found else []
    result = []
    for row in sorted(rows, key=lambda e: (order.index(e["shift"]), e["size"], e["loans"])):
        shares = {n: AlertShare(c["found"], c["batches"]) for n, c in row["columns"].items()}
        hardest = min(shares, key=lambda name: shares[name].value)
        overall = total(shares.values())
        ways = {
            way: sum(c.get(way, 0) for c in row["columns"].values()) / max(overall.hits, 1)
            for way in WAYS
        }
        kind = kinds.get(row["shift"])
        label = kind.describe(row["size"]) if kind else "correlation broken"
        result.append(
            Power(
                row["loans"], row["shift"], label, row["size"], overall, len(shares), hardest,
                shares[hardest], ways,
            )
        )  # fmt: skip
    return result


def required_powers(found: Found, section: str = "drift") -> list[Power]:
    """Return the power only for the sizes of shifts for which a power is required."""
    sizes = {shift.name: shift.required for shift in SHIFTS} | {CORRELATION: 0.0}
    return [power for power in powers(found, section) if sizes[power.shift] == power.size]


def nights_of(found: Found, scenario: str, loans: int) -> list[dict[str, Any]]:
    """Return the repetitions of a scenario of section `nights`."""
    rows = found["nights"]["found"]["nights"] if "nights" in found else []
    return [e for e in rows if e["scenario"] == scenario and e["loans"] == loans]


def night_share(repeats: Sequence[dict[str, Any]], key: str) -> AlertShare:
    """Return the share of nights with an alert: `before` or `after` enough nights are known."""
    return total(AlertShare(*each[key]) for each in repeats)


def streams(found: Found, section: str = "lending") -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Return the streams of each scenario of outcomes, by the values of the scenario."""
    rows = found[section]["found"]["lending"] if section in found else []
    grouped: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for each in rows:
        grouped.setdefault(tuple(each["scenario"].values()), []).append(each)
    return grouped


def stream_share(repeats: Sequence[dict[str, Any]], key: str) -> AlertShare:
    """Return the share of nights with an alert: `one_night`, `over_nights` or `either`."""
    return total(AlertShare(each[key], each["scenario"]["nights"]) for each in repeats)


def first_nights(repeats: Sequence[dict[str, Any]], key: str = "first") -> list[float]:
    """Return the first night with an alert of each repetition, infinite without an alert."""
    return [float("inf") if each[key] is None else each[key] for each in repeats]


def required_figures(found: Found) -> list[Figure]:
    """Return the figures that must be reached, in the order of the page."""
    return [
        *(
            _at_most(f"undrifted batches of {size:,} loans with an alert", share, MAX_FALSE_ALARMS)
            for size, share in false_alarms(found).items()
        ),
        *_varying_figures(found),
        *_concept_figures(found),
        *_shift_figures(found),
        *_night_figures(found),
        *_small_figures(found),
    ]


def _at_most(what: str, share: AlertShare, limit: float) -> Figure:
    """Return a figure that is met if the upper limit of the interval is at most the limit."""
    is_met = share.interval[1] <= limit
    return Figure(what, f"upper limit at most {100 * limit:g} %", share.as_text(), is_met)


def _at_least(what: str, share: AlertShare, limit: float) -> Figure:
    is_met = share.value >= limit
    return Figure(what, f"at least {100 * limit:g} %", share.as_text(), is_met)


def _varying_figures(found: Found) -> list[Figure]:
    sizes = found["nights"]["plan"]["night_sizes"] if "nights" in found else []
    return [
        _at_most(
            f"{name}, {size:,} loans, from week {nights.FROM_WEEK} on: nights with an alert",
            night_share(nights_of(found, name, size), "after"),
            MAX_VARYING,
        )
        for name in nights.VARYING[1:]
        for size in sizes
    ]


def _concept_figures(found: Found) -> list[Figure]:
    result = []
    for repeats in streams(found).values():
        scenario = repeats[0]["scenario"]
        if scenario["loans"] == lending.FEW:
            continue
        what = f"{scenario['mix']}, outcomes of {scenario['known']} loans"
        if scenario["is_drawn"]:
            rho = f", rho {scenario['rho']:g}" if scenario["rho"] else ""
            name = f"correct model, {what}{rho}: nights with a concept alarm"
            result.append(_at_most(name, stream_share(repeats, "either"), MAX_CONCEPT))
        elif scenario["known"] != lending.NOT_DECLINED:
            for kind, name in (("worsened", "target_shift"), ("shuffled", "model_shift")):
                if scenario[kind]:
                    share = stream_share(repeats, "one_night")
                    text = f"{name}, outcomes of {scenario['known']} loans, {lending.LOANS:,} loans"
                    result.append(_at_least(f"{text}: found in one night", share, MIN_POWER))
    return result


def _shift_figures(found: Found) -> list[Figure]:
    result = []
    for power in required_powers(found):
        if power.loans == 500 and power.shift in AT_500:
            what = f"{power.label}, 500 loans, all columns together"
            result.append(_at_least(what, power.found, AT_500[power.shift]))
        if power.loans == 5_000:
            what = f"{power.label}, 5,000 loans, through ingest"
            result.append(_at_least(f"{what}, all columns together", power.found, MIN_POWER))
            hardest = f"{what}, hardest column ({power.hardest})"
            result.append(_at_least(hardest, power.hardest_found, MIN_POWER))
    return result


def _night_figures(found: Found) -> list[Figure]:
    result = []
    rare = nights_of(found, nights.RARE, 500)
    if rare:
        what = f"{rare[0]['column']} {rare[0]['level']} from {100 * rare[0]['usual']:.2g} % to 10 %"
        share = night_share(rare, "found")
        result.append(_at_least(f"{what} of 500 loans: found", share, MIN_POWER))
    creeping = nights_of(found, next(iter(nights.CREEPING)), 2_000)
    if creeping:
        first = first_nights(creeping, "nights")
        result.append(
            Figure(
                "creep of 1 % a night, 2,000 loans: nights to the first alert",
                f"at most {MOST_CREEPING_NIGHTS}",
                spread_text(first),
                max(first) <= MOST_CREEPING_NIGHTS,
            )
        )
    return result


def _small_figures(found: Found) -> list[Figure]:
    result = []
    for repeats in streams(found).values():
        scenario = repeats[0]["scenario"]
        if scenario["loans"] != lending.FEW:
            continue
        rho = f"rho {scenario['rho']:g}"
        if scenario["rise"]:
            first = first_nights(repeats)
            what = f"default rate + 3 points, {lending.FEW} loans a night, {rho}: nights to alert"
            limit = f"median at most {MOST_NIGHTS_TO_RISE}"
            is_met = median(first) <= MOST_NIGHTS_TO_RISE
            result.append(Figure(what, limit, spread_text(first), is_met))
        else:
            mean = sum(each["alarms"] for each in repeats) / len(repeats)
            what = f"correct model, {lending.FEW} loans a night, {rho}: alarms in 3 years"
            measured = f"{mean:.2f} on average of {len(repeats)} runs"
            result.append(Figure(what, f"at most {MOST_ALARMS:g}", measured, mean <= MOST_ALARMS))
    return result


def spread_text(values: Sequence[float]) -> str:
    """Return the median and the range of numbers of nights as text."""
    low, middle, high = (
        "none" if each == float("inf") else f"{each:g}"
        for each in (min(values), median(values), max(values))
    )
    return f"median {middle}, {low} to {high} in {len(values)} runs"
