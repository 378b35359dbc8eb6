"""Group the batches that show a cause into episodes, so that a lasting cause has one alert."""

from collections.abc import Iterable
from dataclasses import dataclass

STABLE_BATCHES = 2
"""Number of consecutive stable batches that end an episode.

A stable batch does not show the cause. One stable batch is not enough, because a single batch may
be stable only by chance.
"""


@dataclass(frozen=True)
class Episode:
    """A period in which a cause lasts, from the first to the last batch that shows the cause.

    `batches` is the number of batches that show the cause. Stable batches in between do not count.
    """

    first_batch_id: str
    last_batch_id: str
    batches: int
    is_over: bool


def fold_episodes(states: Iterable[tuple[str, bool]]) -> list[Episode]:
    """Return the episodes of one cause, the oldest first.

    Args:
        states: batch_id of each batch and whether the batch shows the cause, sorted by batch_id.
            The caller leaves out batches that have not been tested for the cause yet.

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
