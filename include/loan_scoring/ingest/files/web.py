"""Download http(s) URLs, again where the connection was at fault."""

import shutil
import socket
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from http.client import HTTPException, HTTPResponse
from typing import BinaryIO, cast
from urllib.parse import urlsplit

from loan_scoring.errors import PassingSourceError, SourceError
from loan_scoring.ingest.files.locations import COPY_BYTES, cut_short_error, location_label

TIMEOUT_SECONDS = 30.0
PROBE_SECONDS = 10.0
RETRY_SECONDS = (1.0, 3.0)
"""How long to wait before each repeated download."""


def _get(url: str, timeout: float) -> HTTPResponse:
    if "@" in urlsplit(url).netloc:
        raise SourceError(f"{location_label(url)}: no user or password in a URL; use a signed URL")
    request = urllib.request.Request(url, headers={"User-Agent": "loan-scoring"})  # noqa: S310 (scheme_of allows http and https alone)
    return cast(HTTPResponse, urllib.request.urlopen(request, timeout=timeout))  # noqa: S310


def probe(url: str) -> None:
    """Raise a SourceError unless the URL answers now."""
    try:
        _get(url, PROBE_SECONDS).close()
    except (OSError, HTTPException) as error:
        raise _unreachable(url, error) from error


def download(url: str) -> BinaryIO:
    """Copy a URL into an unnamed temporary file, again where the connection was at fault."""
    for wait in (*RETRY_SECONDS, None):
        with ExitStack() as stack:
            copy = stack.enter_context(tempfile.TemporaryFile())
            try:
                with _get(url, TIMEOUT_SECONDS) as response:
                    shutil.copyfileobj(response, copy, COPY_BYTES)
                    expected = response.headers.get("Content-Length")
                copy.flush()
                if expected is None or copy.tell() == int(expected):
                    stack.pop_all()
                    return cast(BinaryIO, copy)
                error = cut_short_error(location_label(url), copy.tell(), expected)
            except (OSError, HTTPException) as failure:
                error = _unreachable(url, failure)
                if not isinstance(error, PassingSourceError):
                    break
        if wait is not None:
            time.sleep(wait)
    raise error


def _unreachable(url: str, error: Exception) -> SourceError:
    """Say why a URL gave nothing, in words that cannot hold its query."""
    cause = getattr(error, "reason", error)
    if isinstance(error, urllib.error.HTTPError):
        why = f"the server answered {error.code} {error.reason}"
        error.close()
    elif isinstance(cause, TimeoutError):
        why = "no answer in time"
    elif isinstance(cause, socket.gaierror):
        why = "its host is not known"
    elif isinstance(cause, OSError) and cause.strerror:
        why = cause.strerror.lower()
    else:
        why = f"the connection failed ({type(cause).__name__})"
    code = getattr(error, "code", None)
    is_final = code in range(400, 500) and code not in (408, 429)
    kind = SourceError if is_final else PassingSourceError
    return kind(f"{location_label(url)}: {why}; check the URL and the network")
