"""Hold what a demonstration left against what it should show; sentences follow from the counts."""

from dataclasses import dataclass

from loan_scoring.lab.demo.kinds import MONITORS
from loan_scoring.lab.demo.seen import DemoRecord

FIND, QUIET, EITHER = "find it", "quiet", "either"


@dataclass(frozen=True)
class MonitorResult:
    """On how many nights a monitor found drift, and whether it should have."""

    kind: str
    calm: int
    """Nights without the scenario on which it did."""
    drifted: int
    """Nights with the scenario on which it did."""
    unknown: int
    """Nights of either sort on which it had too little to go by."""
    should: str
    """FIND, QUIET or EITHER."""
    is_right: bool
    why: str
    """Why that is right; empty where it is not, or where a monitor that may find drift did not."""


def judge_monitors(seen: DemoRecord) -> list[MonitorResult]:
    """Judge each monitor, the one that is to find the drift first."""
    shown = seen.shown
    return [
        _judge(seen, kind)
        for kind in [shown.kind, *(kind for kind in MONITORS if kind != shown.kind)]
    ]


def _judge(seen: DemoRecord, kind: str) -> MonitorResult:
    shown = seen.shown
    calm = sum(bool(night.found(kind)) for night in seen.calm)
    drifted = sum(bool(night.found(kind)) for night in seen.drifted)
    unknown = sum(night.level(kind) is None for night in seen.nights)
    if kind == shown.kind:
        should, is_right = FIND, calm == 0 and drifted == len(seen.drifted)
        why = shown.why
    elif kind in shown.quiet:
        should, is_right = QUIET, calm == drifted == unknown == 0
        why = shown.quiet[kind]
    else:
        should, is_right = EITHER, calm == 0
        why = shown.follows[kind] if drifted else ""
    return MonitorResult(kind, calm, drifted, unknown, should, is_right, why if is_right else "")


def demo_verdict(seen: DemoRecord) -> tuple[bool, str]:
    """Return whether the demonstration shows what it should, and a sentence that says so or not."""
    told = judge_monitors(seen)
    first, of = told[0], f"{len(seen.drifted)} drifted nights"
    said = (
        f"“{MONITORS[first.kind]}” found it on {first.drifted} of {of} and on {first.calm} of "
        f"{len(seen.calm)} nights before"
    )
    wrong = [each for each in told if not each.is_right]
    if not wrong:
        quiet = [f"“{MONITORS[each.kind]}”" for each in told if each.should == QUIET]
        return True, f"As it should be: {said}; {_listed(quiet)} stayed quiet on all nights."
    parts = [said] + [_fault(seen, each) for each in wrong if each is not first]
    return False, f"This run does not show it as it should: {'; '.join(parts)}."


def _fault(seen: DemoRecord, told: MonitorResult) -> str:
    parts = []
    if told.calm:
        parts.append(f"found drift on {told.calm} of {len(seen.calm)} nights without drift")
    if told.drifted and told.should == QUIET:
        parts.append(f"found drift on {told.drifted} of {len(seen.drifted)} drifted nights")
    if told.unknown and told.should == QUIET:
        parts.append(f"had too few loans to go by on {told.unknown} of {len(seen.nights)} nights")
    return f"“{MONITORS[told.kind]}” {' and '.join(parts)}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def nights_outside_interval(seen: DemoRecord, metric: str) -> tuple[int, int]:
    """Return on how many drifted nights a metric left its estimate's interval, and of how many."""
    found = 0
    known = 0
    for night in seen.drifted:
        estimated = night.figures.get((metric, "estimated"))
        realised = night.value(metric, "realised")
        if estimated is None or realised is None or estimated["lower"] is None:
            continue
        known += 1
        found += not estimated["lower"] <= realised <= estimated["upper"]
    return found, known
