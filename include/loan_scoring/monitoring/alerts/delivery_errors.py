"""Explain why a channel did not accept a message, without quoting the library's error text.

The error text of a library may contain the URL that was called, and the URL may contain a secret.
Only codes, such as the HTTP status, are therefore copied from the error text.
"""

import re
import smtplib
import socket
import ssl
from collections.abc import Iterator

from loan_scoring.errors import ChannelError


def delivery_error(error: BaseException) -> str:
    """Return what went wrong and, if known, what to do, as text that contains no secret.

    >>> delivery_error(ConnectionRefusedError(111, "Connection refused"))
    'the connection was refused or reset (ConnectionRefusedError)'
    """
    known = (found for each in _chain(error) if (found := _known(each)))
    return next(known, f"it failed with {type(error).__name__}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all errors that caused it.

    `args` and `reason` are searched too, because the library requests stores causes in them.
    """
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and each not in seen:
            seen.append(each)
            yield each
            waiting += [*each.args, getattr(each, "reason", None), each.__cause__, each.__context__]


def _known(error: BaseException) -> str | None:
    match error:
        case ChannelError():
            return str(error)
        case smtplib.SMTPAuthenticationError(smtp_code=code):
            return f"it refused the login ({code}): see login and password of the connection"
        case smtplib.SMTPRecipientsRefused(recipients=refused):
            codes = sorted({str(code) for code, _ in refused.values()})
            return f"it refused every recipient ({', '.join(codes)}): see the contract's recipients"
        case smtplib.SMTPNotSupportedError():
            return "it offers no STARTTLS or no login: see disable_tls of the connection"
        case smtplib.SMTPResponseException(smtp_code=code):
            return f"it answered {code}"
        case smtplib.SMTPServerDisconnected():
            return "it closed the connection"
        case ssl.SSLError():
            reason = getattr(error, "reason", None) or type(error).__name__
            return f"TLS failed ({reason}): see disable_ssl, disable_tls or the certificate"
        case socket.gaierror():
            return "its host name is unknown"
        case TimeoutError():
            return "it gave no answer in time"
        case ConnectionRefusedError() | ConnectionResetError() | ConnectionAbortedError():
            return f"the connection was refused or reset ({type(error).__name__})"
    if type(error).__name__ == "TooManyRedirects":
        return "it redirects to another address: put that address into the connection"
    if type(error).__name__ == "AirflowException":
        return _by_code(str(error))
    return None


def _by_code(text: str) -> str | None:
    """Describe the HTTP status in the error text of an Airflow hook, with Slack's error code.

    Return None if the text contains no HTTP status.
    """
    status = re.search(r"Status Code: (\d{3})\b|^(\d{3}):", text)
    reason = re.search(r"Response body: '([a-z_]{1,40})'", text)
    if status is None:
        return None
    return f"it answered {status[1] or status[2]}" + (f" ({reason[1]})" if reason else "")
