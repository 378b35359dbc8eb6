"""Define the causes of alerts, and how a batch shows a cause."""

from dataclasses import dataclass
from typing import Any

from loan_scoring.contract import Contract

BAD_DATA, POPULATION, CONCEPT = "bad_data", "population", "concept"
CAUSES = (BAD_DATA, POPULATION, CONCEPT)
"""The causes of alerts on drift.

`bad_data`: more nulls than at training, levels of categories that were unseen at training, or
calendar columns that do not fit the business date. `population`: the applicants differ from those
at training. `concept`: loans default more or less often than the model expects of these loans, or
in another order.
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


PREDICTION_LABELS = {
    "default_probability": "The default probability",
    "decision": "The decision",
    "persona": "The persona",
    "reason_1": "The first reason",
}
COMPARED = {
    **PREDICTION_LABELS,
    "all": "All inputs together",
    "is_default": "The default rate",
}
"""Labels of what is compared besides columns."""


def compared_name(contract: Contract, feature: str) -> str:
    """Return the label of a feature in drift tests, such as a column or the default rate."""
    column = contract.by_name.get(feature)
    return column.label if column else COMPARED.get(feature, feature)
