"""Define the causes of alerts, and how a batch shows a cause."""

from dataclasses import dataclass
from typing import Any

BAD_DATA, POPULATION, CONCEPT = "bad_data", "population", "concept"
CAUSES = (BAD_DATA, POPULATION, CONCEPT)
"""The causes that drift tests find.

`bad_data`: more values are null than at training, or categories have levels that were not in the
baseline. `population`: the applicants differ from those at training. `concept`: similar applicants
default more or less often than at training.
"""


@dataclass(frozen=True)
class BatchCause:
    """One cause that one batch shows, with the message of the alert.

    `subjects` are the columns that show the cause, the worst first.
    """

    cause: str
    severity: str
    subjects: list[str]
    message: str
    evidence: dict[str, Any]
