"""Choose the reasons of an application from the contributions of its features, and word them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from loan_scoring.contract import Contract
from loan_scoring.models.encoding import Columns

REASONS = ("reason_1", "reason_2", "reason_3", "reason_4")
"""At most four reasons are given: more do not help an applicant (Regulation B, 12 CFR 1002.9)."""
METHOD = "shapley"
"""How contributions are computed; recorded with a model, because its baseline counts reasons."""


@dataclass(frozen=True)
class ReasonText:
    """A reason as it is told: its features, its text, and what the text says about numbers."""

    features: list[str]
    text: str
    missing: dict[str, str]
    """The text if the value of a feature is null, by feature."""
    says: Literal["too_low", "too_high"] | None
    """Which way the numbers are wrong for the applicant. None if the text does not say."""


def reason_texts(contract: Contract, features: list[str]) -> list[ReasonText]:
    """Return the reasons of a model, in the order of its features.

    A feature without a declared reason is a reason of its own, with its label as text.

    Args:
        contract: contract of the portfolio.
        features: names of the columns that the model reads.
    """
    declared = {name: reason for reason in contract.reasons for name in reason.columns}
    found: dict[str, ReasonText] = {}
    for name in features:
        label = contract.by_name[name].label
        reason = declared.get(name)
        if reason is None:
            texts = {name: f"{label} is missing"}
            found[name] = ReasonText([name], label, texts, _direction(contract, [name]))
            continue
        own = [each for each in features if each in reason.columns]
        found[reason.code] = ReasonText(
            own,
            f"{reason.code}: {reason.wording}",
            {
                each: f"{reason.code}: "
                + (reason.missing or f"{contract.by_name[each].label} is missing")
                for each in own
            },
            reason.says or _direction(contract, own),
        )
    return list(found.values())


def _direction(contract: Contract, features: list[str]) -> Literal["too_low", "too_high"] | None:
    """Return what a reason says by the `direction` of its columns, if all have the same one."""
    directions = {getattr(contract.by_name[name], "direction", None) for name in features}
    if directions == {"down"}:
        return "too_low"
    return "too_high" if directions == {"up"} else None


def top_reasons(
    contract: Contract, features: list[str], contributions: np.ndarray, columns: Columns
) -> dict[str, pa.Array]:
    """Return the columns `reason_1` to `reason_4` for rows of applications.

    The reasons of a row are those with the largest positive contributions, the largest first. A
    reason that lowered the probability is never given: if a row has fewer than four positive
    contributions, its last reasons are null. If the value of a reason's feature with the largest
    contribution is null, the reason says so.

    Args:
        contract: contract with the reasons and the labels of the columns.
        features: names of the columns that the model reads.
        contributions: contributions of the features to the log-odds, shape (rows, features).
        columns: values of the features for these rows.
    """
    texts: list[str] = []
    added = []
    places = []
    for reason in reason_texts(contract, features):
        own = [features.index(name) for name in reason.features]
        parts = contributions[:, own]
        largest = parts.argmax(axis=1)
        is_null = np.column_stack([columns.is_null(name) for name in reason.features])
        is_missing = np.take_along_axis(is_null, largest[:, None], axis=1)[:, 0]
        places.append(len(texts) + np.where(is_missing, 1 + largest, 0))
        texts += [reason.text, *reason.missing.values()]
        added.append(parts.sum(axis=1))
    of_reasons, place = np.column_stack(added), np.column_stack(places)
    order = np.argsort(-of_reasons, axis=1, kind="stable")[:, : len(REASONS)]
    largest_sums = np.take_along_axis(of_reasons, order, axis=1)
    place = np.take_along_axis(place, order, axis=1)
    words = pa.array(texts, pa.string())
    found = {}
    for nth, name in enumerate(REASONS):
        if nth < order.shape[1]:
            found[name] = words.take(pa.array(place[:, nth], mask=largest_sums[:, nth] <= 0))
        else:  # the model has fewer than four reasons
            found[name] = pa.nulls(len(order), pa.string())
    return found
