"""Make the error responses of the API: one JSON object that says what is wrong (RFC 9457)."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import Response

MEDIA_TYPE = "application/problem+json"
MOST_FAULTS, MOST_LETTERS, LONGEST_PART = 100, 2000, 100
"""Limits of an answer that says what is wrong with a request. Otherwise 1 MiB gets 40 MiB back."""


def problem(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:
    """Return an error response with `title`, `status` and `detail`.

    Args:
        status: status of the response.
        detail: the reason, in one line.
        headers: further headers.
        more: further members of the object.
    """
    content = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    # A name with a lone surrogate cannot be encoded as UTF-8, so it is written as an escape.
    return Response(json.dumps(content), status, headers, media_type=MEDIA_TYPE)


def faulty(faults: list[dict[str, Any]]) -> Response:
    """Return a 422 response with the first faults as `errors`, and how many more there are.

    Args:
        faults: validation errors with `loc`, `msg` and `type`.
    """
    kept = [
        {
            "loc": [part if isinstance(part, int) else part[:LONGEST_PART] for part in each["loc"]],
            "msg": each["msg"][:MOST_LETTERS],
            "type": each["type"],
        }
        for each in faults[:MOST_FAULTS]
    ]
    first = kept[0]
    place = ".".join(map(str, first["loc"]))
    number = f"{len(faults)} faults, the first is " if len(faults) > 1 else ""
    if more := len(faults) - len(kept):
        kept.append({"loc": [], "msg": f"and {more} more faults", "type": "more"})
    return problem(422, f"{number}{place}: {first['msg']}"[:MOST_LETTERS], errors=kept)
