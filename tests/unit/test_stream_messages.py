"""Messages of a stream are read without a failure, and never depend on their neighbours."""

import json

import pytest

from loan_scoring.errors import StateError
from loan_scoring.scoring.stream.brokers import channels, open_stream
from loan_scoring.scoring.stream.messages import (
    MOST_BYTES,
    Message,
    make_message,
    read_message,
    rounds,
    unique,
)


def message(message_id: str, loan: int) -> Message:
    return read_message(make_message(message_id, {"loan_id": loan}))


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "not_json"),
        (b"\xff", "not_json"),
        (b'{"message_id": "a", "application": {"x": NaN}}', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"7", "not_an_object"),
        (b'{"application": null}', "not_an_application"),
        (b'{"application": {}, "more": 1}', "not_an_application"),
        (b'{"message_id": 7, "application": {}}', "message_id"),
        (b'{"message_id": "\\u0000", "application": {}}', "message_id"),
        (b'{"message_id": "' + b"x" * 201 + b'", "application": {}}', "message_id"),
        (b" " * (MOST_BYTES + 1), "too_long"),
    ],
)
def test_what_is_no_message_has_a_fault_and_an_id(body: bytes, fault: str) -> None:
    found = read_message(body)
    assert found.application is None
    assert found.faults == ("not_a_message", fault)
    assert found.message_id.startswith("sha256:") or fault == "not_an_application"


def test_a_message_without_an_id_is_known_by_its_bytes() -> None:
    body = json.dumps({"application": {"loan_id": 1}}).encode()
    assert read_message(body).message_id == read_message(body).message_id
    assert read_message(body).message_id != read_message(body + b" ").message_id


def test_no_micro_batch_has_a_loan_twice_and_the_order_is_kept() -> None:
    sent = [message("a", 1), message("b", 2), message("c", 1), message("d", 1), message("e", 2)]
    names = [[each.message_id for each in part] for part in rounds(sent)]
    assert names == [["a", "b"], ["c", "e"], ["d"]]


def test_the_first_message_of_an_id_counts() -> None:
    sent = [message("a", 1), message("b", 2), message("a", 3)]
    assert [each.key for each in unique(sent)] == ["1", "2"]


@pytest.mark.parametrize("url", ["", "nats://127.0.0.1:4222", "redis:"])
def test_an_unknown_broker_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(StateError, match=r"make up STREAM=1") as raised:
        open_stream(url, channels("loan_default"), "one", 10)
    assert "\n" not in str(raised.value)
