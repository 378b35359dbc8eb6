"""Limit the size of a request's body, and read the body only after the login is checked."""

from collections.abc import Callable, Coroutine
from typing import Any

from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

MOST_BYTES = 1 << 20
"""1 MiB: twice the size of a request with 1,000 applications of 30 fields each."""


class LimitedRoute(APIRoute):
    """Route that reads a request's body only after a login, and only up to MOST_BYTES."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return a handler that reads the whole body first. A body that is too long gets a 413."""
        handle = super().get_route_handler()

        async def limited(request: Request) -> Response:
            # Check the login here, because FastAPI reads the body before it runs dependencies.
            await get_user(request, None, await bearer_scheme(request))
            body = bytearray()
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_BYTES:
                    raise HTTPException(413, f"the body is longer than {MOST_BYTES} bytes")
            request._body = bytes(body)  # starlette's cache: FastAPI reads the body from here
            return await handle(request)

        return limited
