"""Judge whether the monitors found the drift of a demonstration as expected."""

from dataclasses import dataclass

from loan_scoring.lab.demo.demonstrations import MONITORS
from loan_scoring.lab.demo.record import DemoRecord

FIND, QUIET, EITHER = "find it", "quiet", "either"


@dataclass(frozen=True)
class MonitorResult:
    """The numbers of nights on which a monitor found drift, and whether they are as expected."""

    kind: str
    calm: int
    """Number of nights without the scenario on which the monitor found drift."""
    drifted: int
    """Number of nights with the scenario on which the monitor found drift."""
    unknown: int
    """Number of nights on which the monitor could not test, because there were too few loans."""
    should: str
    """What the monitor should do: FIND, QUIET or EITHER."""
    is_right: bool
    why: str
    """Reason why the result is as expected.

    The string is empty if the result is not as expected, or if `should` is EITHER and no drift was
    found on the nights with the scenario.
    """


def judge_monitors(record: DemoRecord) -> list[MonitorResult]:
    """Return the results of all monitors. The monitor that should find the drift comes first."""
    main = record.demonstration.kind
    return [_judge(record, kind) for kind in [main, *(k for k in MONITORS if k != main)]]


def _judge(record: DemoRecord, kind: str) -> MonitorResult:
    expected = record.demonstration
    calm = sum(bool(night.found(kind)) for night in record.calm)
    drifted = sum(bool(night.found(kind)) for night in record.drifted)
    unknown = sum(night.level(kind) is None for night in record.nights)
    if kind == expected.kind:
        should, is_right = FIND, calm == 0 and drifted == len(record.drifted)
        why = expected.why
    elif kind in expected.quiet:
        should, is_right = QUIET, calm == drifted == unknown == 0
        why = expected.quiet[kind]
    else:
        should, is_right = EITHER, calm == 0
        why = expected.follows[kind] if drifted else ""
    return MonitorResult(kind, calm, drifted, unknown, should, is_right, why if is_right else "")


def demo_verdict(record: DemoRecord) -> tuple[bool, str]:
    """Return whether every monitor behaved as expected, and a sentence with the details."""
    results = judge_monitors(record)
    first = results[0]
    found = (
        f"“{MONITORS[first.kind]}” found it on {first.drifted} of {len(record.drifted)} drifted "
        f"nights and on {first.calm} of {len(record.calm)} nights before"
    )
    wrong = [result for result in results if not result.is_right]
    if not wrong:
        quiet = [f"“{MONITORS[result.kind]}”" for result in results if result.should == QUIET]
        return True, f"As it should be: {found}; {_listed(quiet)} stayed quiet on all nights."
    parts = [found] + [_fault(record, result) for result in wrong if result is not first]
    return False, f"Not as it should be in this run: {'; '.join(parts)}."


def _fault(record: DemoRecord, result: MonitorResult) -> str:
    """Return a text that says what a monitor did against expectation."""
    drifted, nights = len(record.drifted), len(record.nights)
    parts = []
    if result.calm:
        parts.append(f"found drift on {result.calm} of {len(record.calm)} nights without drift")
    if result.drifted and result.should == QUIET:
        parts.append(f"found drift on {result.drifted} of {drifted} drifted nights")
    if result.unknown and result.should == QUIET:
        parts.append(f"had too few loans for a test on {result.unknown} of {nights} nights")
    return f"“{MONITORS[result.kind]}” {' and '.join(parts)}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def nights_outside_interval(record: DemoRecord, metric: str) -> tuple[int, int]:
    """Count the drifted nights whose realised metric is outside the estimate's interval.

    Return this count, and the number of drifted nights on which both the estimate's interval and
    the realised metric are known.
    """
    outside = 0
    known = 0
    for night in record.drifted:
        estimated = night.figures.get((metric, "estimated"))
        realised = night.value(metric, "realised")
        if estimated is None or realised is None or estimated["lower"] is None:
            continue
        known += 1
        outside += not estimated["lower"] <= realised <= estimated["upper"]
    return outside, known
