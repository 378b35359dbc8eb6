"""What a request may carry, and that nothing of it is read before its user is known."""

from collections.abc import Callable, Coroutine
from typing import Any

from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

MOST_BYTES = 1 << 20
"""A thousand applications of thirty fields have half of it."""


class LimitedRoute(APIRoute):
    """A route that reads a body of who is logged in only, and no more of it than it takes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, which is given the body whole or not at all."""
        handle = super().get_route_handler()

        async def limited(request: Request) -> Response:
            # FastAPI reads and parses a body before it asks any dependency.
            await get_user(request, None, await bearer_scheme(request))
            body = bytearray()
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_BYTES:
                    raise HTTPException(413, f"the body is longer than {MOST_BYTES} bytes")
            request._body = bytes(body)  # where starlette keeps what was read of a stream
            return await handle(request)

        return limited
