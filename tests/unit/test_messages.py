"""Messages have one subject line and plain words, and nothing that a file could inject."""

import smtplib
import socket
import ssl
from datetime import UTC, datetime
from typing import Any

import pytest

from loan_scoring.contract import Contract
from loan_scoring.errors import ChannelError
from loan_scoring.monitoring.alerts.delivery_errors import delivery_error
from loan_scoring.monitoring.alerts.messages import LONGEST, alerts_message

AT = datetime(2026, 1, 6, 2, 5, 7, 123, tzinfo=UTC)


def event(**changed: Any) -> dict[str, Any]:
    return {
        "alert_id": 7,
        "number": 1,
        "event": "opened",
        "severity": "warning",
        "kind": "population",
        "subject": "income",
        "message": "Other applicants than at training: income is 30 % higher",
        "batch_id": "2026-01-05",
        "last_batch_id": "2026-01-06",
        "queued_at": AT,
        **changed,
    }


def test_one_alert_is_its_own_subject(loan_default: Contract) -> None:
    told = alerts_message(loan_default, [event()], "http://airflow.example/dags/d/runs/r")
    assert told.subject == (
        "Residential loans: warning: other applicants, 2026-01-05 to 2026-01-06"
    )
    assert told.text == (
        "WARNING: other applicants (income), 2026-01-05 to 2026-01-06; alert 7, "
        "2026-01-06 02:05 UTC\n"
        "Other applicants than at training: income is 30 % higher\n\n"
        "All alerts: loan-scoring status --portfolio loan_default\n"
        "Sent by: http://airflow.example/dags/d/runs/r"
    )


def test_several_are_counted_the_worst_first(loan_default: Contract) -> None:
    events = [
        event(event="resolved"),
        event(alert_id=8),
        event(alert_id=9, event="escalated", severity="critical"),
        event(alert_id=10, severity="critical"),
    ]
    subject = alerts_message(loan_default, events, None).subject
    assert subject == (
        "Residential loans: alerts: 1 critical, 1 now critical, 1 warning, 1 resolved"
    )


@pytest.mark.attack
def test_nothing_from_a_file_becomes_markup_a_header_or_a_heading(loan_default: Contract) -> None:
    hostile = "a\r\nBcc: x@y.example\n\nCRITICAL: <!channel> <script> & {{ conn }}"
    told = alerts_message(loan_default, [event(message=hostile, subject=hostile)], None)
    assert "\n" not in told.subject
    assert "\nBcc" not in told.text
    assert "\nCRITICAL" not in told.text
    assert "<script>" not in told.html
    assert "&lt;script&gt; &amp; {{ conn }}" in told.html
    assert "<!channel>" not in told.slack


def test_endless_message_is_cut(loan_default: Contract) -> None:
    told = alerts_message(loan_default, [event(message="level, " * 10_000)], None)
    assert len(told.text) < LONGEST + 500
    assert len(told.payload["alerts"][0]["message"]) == LONGEST


def test_same_events_have_the_same_id_and_others_another(loan_default: Contract) -> None:
    first = alerts_message(loan_default, [event()], "one page").message_id
    assert alerts_message(loan_default, [event()], "another page").message_id == first
    later = event(queued_at=AT.replace(microsecond=124))
    assert alerts_message(loan_default, [later], None).message_id != first


def caused(error: BaseException, by: BaseException) -> BaseException:
    error.__cause__ = by
    return error


SECRET = "https://u:secret@h.example/secret"


@pytest.mark.attack
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ChannelError("connection c has no from_email"), "connection c has no from_email"),
        (smtplib.SMTPAuthenticationError(535, SECRET.encode()), "refused the login (535)"),
        (smtplib.SMTPRecipientsRefused({SECRET: (550, b"no")}), "refused every recipient (550)"),
        (smtplib.SMTPNotSupportedError(SECRET), "offers no STARTTLS or no login"),
        (smtplib.SMTPDataError(554, SECRET.encode()), "it answered 554"),
        (smtplib.SMTPServerDisconnected(SECRET), "closed the connection"),
        (ssl.SSLError(1, SECRET), "TLS failed"),
        (socket.gaierror(-2, SECRET), "its host name is unknown"),
        (caused(RuntimeError(SECRET), TimeoutError(SECRET)), "no answer in time"),
        (OSError(OSError(ConnectionResetError(104, SECRET))), "(ConnectionResetError)"),
        (ValueError(SECRET), "it failed with ValueError"),
    ],
)
def test_reason_is_in_our_words_and_quotes_nothing(error: BaseException, told: str) -> None:
    said = delivery_error(error)
    assert told in said
    assert "secret" not in said
    assert "\n" not in said
