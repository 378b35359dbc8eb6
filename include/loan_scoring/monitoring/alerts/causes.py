"""Name the causes of alerts, and what one of them is in one batch."""

from dataclasses import dataclass
from typing import Any

BAD_DATA, POPULATION, CONCEPT = "bad_data", "population", "concept"
CAUSES = (BAD_DATA, POPULATION, CONCEPT)
"""bad_data: values are missing or unseen at training. population: the applicants differ from
training. concept: the same applicants default more or less often."""


@dataclass(frozen=True)
class BatchCause:
    """One cause in one batch: the columns that show it, the worst first, and the message."""

    cause: str
    severity: str
    subjects: list[str]
    message: str
    evidence: dict[str, Any]


PREDICTION_LABELS = {
    "default_probability": "The default probability",
    "decision": "The decision",
    "persona": "The persona",
    "reason_1": "The first reason",
}
