"""Download http(s) URLs, with another try after a fault of the connection or the server."""

import logging
import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast
from urllib.parse import urlsplit

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_chain, wait_fixed

from loan_scoring.errors import PassingSourceError, SourceError
from loan_scoring.ingest.files.locations import cut_short_error, location_label

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 30.0
"""The longest wait for a connection, and for each piece of the answer."""
PROBE_SECONDS = 10.0
RETRY_SECONDS = (1.0, 3.0)
"""The wait before each repeated download."""

ADVICE = "check the URL and the network"


def probe(url: str) -> None:
    """Raise a SourceError unless the URL answers now."""
    with _answer(url, PROBE_SECONDS):
        pass


def download(url: str) -> BinaryIO:
    """Return an unnamed temporary file with the content of a URL.

    A PassingSourceError starts another try, after each of RETRY_SECONDS.

    Raises:
        SourceError: the last try failed, or the server refused the URL.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(PassingSourceError),
        stop=stop_after_attempt(1 + len(RETRY_SECONDS)),
        wait=wait_chain(*map(wait_fixed, (*RETRY_SECONDS, 0.0))),
        reraise=True,
    )
    return retrying(_copy, url)


def _copy(url: str) -> BinaryIO:
    import httpx

    with ExitStack() as stack:
        copy = stack.enter_context(tempfile.TemporaryFile())
        with _answer(url, TIMEOUT_SECONDS) as response:
            expected = response.headers.get("Content-Length")
            try:
                # Raw: the sha256 is that of the bytes as delivered.
                for piece in response.iter_raw():
                    copy.write(piece)
            except httpx.RemoteProtocolError:  # a body cut short, as the count below says
                if expected is None:
                    raise
            copy.flush()
        if expected is not None and copy.tell() != int(expected):
            raise cut_short_error(location_label(url), copy.tell(), expected)
        stack.pop_all()
        return cast(BinaryIO, copy)


@contextmanager
def _answer(url: str, timeout: float) -> Iterator["httpx.Response"]:
    """Yield the successful response to a GET; its body is read inside.

    Raises:
        PassingSourceError: the connection failed, or the server is unable to answer at present.
        SourceError: the URL is not valid, or the server refuses it.
    """
    import httpx  # 0.1 s, which files on disk do not need

    where = location_label(url)
    if "@" in urlsplit(url).netloc:
        raise SourceError(f"{where}: a URL must not hold a user or password; use a signed URL")
    for name in ("httpx", "httpcore"):
        # They log whole URLs, in which a signature may stand.
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        client = httpx.Client(
            follow_redirects=True,
            headers={"User-Agent": "loan-scoring", "Accept-Encoding": "identity"},
            timeout=timeout,
            # The system's certificates, to which lenders add their own; httpx brings others.
            verify=ssl.create_default_context(),
        )
    except (httpx.InvalidURL, ValueError, ImportError):
        raise SourceError(
            f"{where}: the proxy in the environment cannot be used; "
            "check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY"
        ) from None  # The cause may show the proxy's password.
    try:
        with client, client.stream("GET", url) as response:
            if not response.is_success:
                raise _refusal(where, response)
            yield response
    except httpx.InvalidURL:
        raise SourceError(f"{where}: the URL is not valid; check it") from None
    except (httpx.HTTPError, OSError) as error:
        raise PassingSourceError(f"{where}: {_reason(error)}; {ADVICE}") from error


def _refusal(where: str, response: "httpx.Response") -> SourceError:
    """Return the error for an answer without content; another try may mend 408, 429 and 5xx."""
    code = response.status_code
    is_final = 400 <= code < 500 and code not in (408, 429)
    kind = SourceError if is_final else PassingSourceError
    return kind(f"{where}: the server answered {code} {response.reason_phrase}; {ADVICE}")


def _reason(error: Exception) -> str:
    """Return why a connection failed, in words that cannot hold the URL's query."""
    import httpx

    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return "no answer in time"
    cause: BaseException | None = error
    while cause is not None:  # httpx and httpcore wrap the error of the socket
        if isinstance(cause, socket.gaierror):
            return "its host is not known"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return f"the connection failed ({type(error).__name__})"
