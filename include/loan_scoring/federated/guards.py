"""Stand between a site and what leaves it: limits, masks, noise, and a log of what was sent."""

import json
import math
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message
from flwr.client.mod import LocalDpMod, secaggplus_mod
from flwr.clientapp.typing import ClientAppCallable

from loan_scoring.contract.federated import FederatedPolicy
from loan_scoring.errors import StateError
from loan_scoring.federated.site import Question, Site

SECURE = "secaggplus_configs"
"""Name of the record with which SecAgg+ marks its messages."""
QUESTION = "fitins.config"


def question_in(message: Message) -> Question | None:
    """Return the question in a message about vectors. None in other messages."""
    record = message.content.config_records.get(QUESTION)
    return None if record is None else Question.read(str(record["question"]))


def releases(policy: FederatedPolicy) -> int:
    """Return how many vectors a site sends in a run of a linear model: its counts and its fits."""
    return policy.rounds + 3


def noise_factor(policy: FederatedPolicy) -> float:
    """Return the standard deviation of the noise in a vector, as a multiple of its sensitivity.

    Over all vectors of a run it gives `epsilon` and `delta`, by zero-concentrated differential
    privacy (Bun and Steinke 2016): each vector costs 1 / (2 factor^2), costs add up to rho, and rho
    gives epsilon = rho + 2 sqrt(rho ln(1 / delta)).
    """
    assert policy.epsilon is not None  # noqa: S101 - the caller has checked it
    log_delta = math.log(1 / policy.delta)
    rho = (math.sqrt(log_delta + policy.epsilon) - math.sqrt(log_delta)) ** 2
    return math.sqrt(releases(policy) / (2 * rho))


def mask(site: Site, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Answer under the masks of SecAgg+ if the server asks so, or refuse to answer without.

    Raises:
        StateError: the site's contract asks for secure aggregation, and the server does not.
    """
    if SECURE in message.content.config_records:
        return secaggplus_mod(message, context, call_next)
    if site.policy.secure_aggregation and question_in(message) is not None:
        raise StateError(
            f"site {site.name} sends vectors only by secure aggregation; set "
            "federated.secure_aggregation in the server's contract too"
        )
    return call_next(message, context)


def add_noise(
    site: Site, message: Message, context: Context, call_next: ClientAppCallable
) -> Message:
    """Answer with noise (Flower's LocalDpMod) if the site's contract states an epsilon.

    Raises:
        StateError: the site has sent in this run what its epsilon covers.
    """
    question, policy = question_in(message), site.policy
    if question is None or policy.epsilon is None:
        return call_next(message, context)
    sent = context.state.config_records.get("noise", ConfigRecord({"vectors": 0}))
    if int(str(sent["vectors"])) >= releases(policy):
        raise StateError(
            f"site {site.name} has sent the {releases(policy)} vectors that its epsilon covers; "
            "set federated.rounds of its contract to that of the server's"
        )
    context.state.config_records["noise"] = ConfigRecord({"vectors": int(str(sent["vectors"])) + 1})
    # LocalDpMod adds sensitivity * sqrt(2 ln(1.25 / delta)) / epsilon, and takes an epsilon of one
    # vector. This one lets it add `noise_factor` times the sensitivity.
    noise = LocalDpMod(
        clipping_norm=1e9,  # the fit bounds the influence of a loan, so nothing is left to clip
        sensitivity=site.sensitivity(question),
        epsilon=math.sqrt(2 * math.log(1.25 / policy.delta)) / noise_factor(policy),
        delta=policy.delta,
    )
    return noise(message, context, call_next)


def check_finite(site: Site, arrays: list[np.ndarray]) -> None:
    """Refuse to send values that are no numbers. Under masks the server could not see them.

    Raises:
        StateError: there is such a value.
    """
    if not all(np.isfinite(each).all() for each in arrays):
        raise StateError(f"site {site.name} computed values that are no numbers; nothing is sent")


def log_sent(path: Path, message: Message, reply: Message) -> None:
    """Append what a reply holds to the site's log: names, shapes and bytes, and no value."""
    arrays: dict[str, Any] = {
        f"{name}.{key}": {"shape": list(array.numpy().shape), "bytes": len(array.data)}
        for name, record in reply.content.array_records.items()
        for key, array in record.items()
    }
    fields = {
        f"{name}.{key}": _size(value)
        for name, record in (*reply.content.config_records.items(),
                             *reply.content.metric_records.items())
        for key, value in record.items()
    }  # fmt: skip
    question = question_in(message)
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "type": message.metadata.message_type,
        "task": question.task if question else None,
        "masked": SECURE in message.content.config_records,
        "bytes": content_bytes(reply),
        "arrays": arrays,
        "fields": fields,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as file:
        file.write(json.dumps(line) + "\n")


def content_bytes(message: Message) -> int:
    """Return the size of what a message holds, in bytes."""
    if not message.has_content():
        return 0
    arrays = sum(len(each.data) for record in message.content.array_records.values()
                 for each in record.values())  # fmt: skip
    others = (*message.content.config_records.values(), *message.content.metric_records.values())
    return arrays + sum(_size(value) for record in others for value in record.values())


def _size(value: Any) -> int:
    """Return the size of a value of a record. Numbers are sent as 8 bytes."""
    if isinstance(value, str | bytes):
        return len(value)
    return sum(map(_size, value)) if isinstance(value, list) else 8


def one_array(values: np.ndarray) -> ArrayRecord:
    """Return a record with one array."""
    return ArrayRecord({"0": Array(np.ascontiguousarray(values))})
