"""Download http and https URLs, and retry after errors of the connection or the server."""

import logging
import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO, cast
from urllib.parse import urlsplit

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_chain, wait_fixed

from loan_scoring import settings
from loan_scoring.errors import PassingSourceError, SourceError
from loan_scoring.ingest.files.columns import escaped_name
from loan_scoring.ingest.files.locations import (
    cut_short_error,
    location_label,
    too_large_error,
)

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 30.0
"""The longest wait for a connection, and for each piece of the response."""
PROBE_SECONDS = 10.0
"""The longest wait when a URL is only checked. It is used instead of TIMEOUT_SECONDS."""
RETRY_SECONDS = (1.0, 3.0)
"""Seconds to wait before the first retry of a download, and before the second retry."""

MAX_REDIRECTS = 5
ADVICE = "check the URL and the network"


def probe(url: str) -> None:
    """Check that a URL can be downloaded now, without downloading the content.

    Raises:
        SourceError: the URL is not valid, the server cannot be reached, or the server refuses.
    """
    with _answer(url, PROBE_SECONDS):
        pass


def download(url: str) -> BinaryIO:
    """Download a URL to an unnamed temporary file, and return this file.

    After a PassingSourceError the download is tried again, at most once for each of RETRY_SECONDS.

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
            limit = settings.max_download_bytes()
            if expected is not None and int(expected) > limit:
                raise too_large_error(location_label(url), limit)
            try:
                # The raw bytes are stored, because the SHA-256 is computed from the bytes as
                # delivered.
                for piece in response.iter_raw():
                    copy.write(piece)
                    if copy.tell() > limit:
                        raise too_large_error(location_label(url), limit)
            except httpx.RemoteProtocolError:
                # The body was cut short. If the expected length is known, the check below raises a
                # clearer error than httpx.
                if expected is None:
                    raise
            copy.flush()
        if expected is not None and copy.tell() != int(expected):
            raise cut_short_error(location_label(url), copy.tell(), expected)
        stack.pop_all()
        return cast(BinaryIO, copy)


@contextmanager
def _answer(url: str, timeout: float) -> Iterator["httpx.Response"]:
    """Send a GET request, and yield the response if it is successful.

    The caller reads the body within the `with` block, because the connection is closed after this
    block.

    Raises:
        PassingSourceError: the connection failed, or the server cannot respond at present.
        SourceError: the URL is not valid, or the server refuses the request.
    """
    import httpx  # imported here because the import takes 0.1 s and local files do not need it

    where = location_label(url)
    if "@" in urlsplit(url).netloc:
        raise SourceError(f"{where}: a URL must not hold a user or password; use a signed URL")
    for name in ("httpx", "httpcore"):
        # At lower levels these packages log whole URLs, which may contain a signature.
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        client = httpx.Client(
            headers={"User-Agent": "loan-scoring", "Accept-Encoding": "identity"},
            timeout=timeout,
            # Use the system's certificates, because lenders add their own certificates there. By
            # default, httpx would use the certificates of the package certifi.
            verify=ssl.create_default_context(),
        )
    except (httpx.InvalidURL, ValueError, ImportError):
        raise SourceError(
            f"{where}: the proxy in the environment cannot be used; "
            "check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY"
        ) from None  # the cause may contain the proxy's password
    try:
        with client, ExitStack() as stack:
            response = _follow(client, url, stack)
            if not response.is_success:
                raise _refusal(where, response)
            yield response
    except httpx.InvalidURL:
        raise SourceError(f"{where}: the URL is not valid; check it") from None
    except (httpx.HTTPError, OSError) as error:
        raise PassingSourceError(f"{where}: {_reason(error)}; {ADVICE}") from error


def _follow(client: "httpx.Client", url: str, stack: ExitStack) -> "httpx.Response":
    """Return the response to a GET request, after redirects. `stack` closes all responses.

    Raises:
        SourceError: a redirect leads to a host that is not declared, or from https to http, or
            there are more than MAX_REDIRECTS.
    """
    request = client.build_request("GET", url)
    for _ in range(1 + MAX_REDIRECTS):
        response = client.send(request, stream=True)
        stack.callback(response.close)
        if response.next_request is None:
            return response
        first, request = request.url, response.next_request
        host, where = request.url.host, location_label(url)
        if host not in (urlsplit(url).hostname, *settings.redirect_hosts()):
            raise SourceError(
                f"{where}: the server redirects to {escaped_name(host)}; if that host is right, "
                "add it to LOAN_SCORING_REDIRECT_HOSTS, or give its URL"
            )
        if first.scheme == "https" and request.url.scheme != "https":
            raise SourceError(f"{where}: the server redirects from https to http; {ADVICE}")
    raise SourceError(f"{where}: the server redirects more than {MAX_REDIRECTS} times; {ADVICE}")


def _refusal(where: str, response: "httpx.Response") -> SourceError:
    """Return the error for an unsuccessful response.

    The error is a PassingSourceError for status codes such as 408, 429 and 5xx, because a later
    request may succeed. For other 4xx codes the error is a SourceError, because a retry is useless.
    """
    code = response.status_code
    is_final = 400 <= code < 500 and code not in (408, 429)
    kind = SourceError if is_final else PassingSourceError
    # The phrase of the server is not shown: anything may stand in it.
    phrase = f" {HTTPStatus(code).phrase}" if code in set(HTTPStatus) else ""
    return kind(f"{where}: the server answered {code}{phrase}; {ADVICE}")


def _reason(error: Exception) -> str:
    """Return why a connection failed, in a text that never contains the URL's query."""
    import httpx

    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return "no answer in time"
    cause: BaseException | None = error
    # httpx and httpcore wrap the error of the socket, so the reason is in a cause of the error.
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return "its host is not known"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return f"the connection failed ({type(error).__name__})"
