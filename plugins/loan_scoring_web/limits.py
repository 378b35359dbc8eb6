"""The limit of a request's body, which is read only once its user is known."""

from collections.abc import Callable, Coroutine
from typing import Any

from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

MOST_BYTES = 1 << 20
"""Twice what a thousand applications of thirty fields need."""


class LimitedRoute(APIRoute):
    """A route that reads a body only with a login, and only up to MOST_BYTES."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return a handler that gets the whole body or refuses the request."""
        handle = super().get_route_handler()

        async def limited(request: Request) -> Response:
            # FastAPI itself would read and parse the body before it checks any dependency.
            await get_user(request, None, await bearer_scheme(request))
            body = bytearray()
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_BYTES:
                    raise HTTPException(413, f"the body is longer than {MOST_BYTES} bytes")
            request._body = bytes(body)  # where starlette caches a body that was read
            return await handle(request)

        return limited
