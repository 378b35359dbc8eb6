"""Fold batches into episodes: a lasting cause is one alert, which two stable batches end."""

from collections.abc import Iterable
from dataclasses import dataclass

STABLE_BATCHES = 2
"""Stable batches in a row that resolve an alert: a single one may be chance."""


@dataclass(frozen=True)
class Episode:
    """A cause from the first batch that shows it to the last; `batches` counts those that do."""

    first_batch_id: str
    last_batch_id: str
    batches: int
    is_over: bool


def fold_episodes(states: Iterable[tuple[str, bool]]) -> list[Episode]:
    """Return the episodes of one cause, in order.

    Args:
        states: batch_id and whether the batch shows the cause, in the order of batch_id; without
            the batches for which that is unknown.

    >>> fold_episodes([("a", True), ("b", False), ("c", True), ("d", False), ("e", False)])
    [Episode(first_batch_id='a', last_batch_id='c', batches=2, is_over=True)]
    """
    found: list[Episode] = []
    first, last, batches, stable = "", "", 0, 0
    for batch_id, is_drifted in states:
        if is_drifted:
            first = first or batch_id
            last, batches, stable = batch_id, batches + 1, 0
        elif first:
            stable += 1
            if stable == STABLE_BATCHES:
                found.append(Episode(first, last, batches, is_over=True))
                first, last, batches, stable = "", "", 0, 0
    if first:
        found.append(Episode(first, last, batches, is_over=False))
    return found
