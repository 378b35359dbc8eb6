"""Define a route class that checks the login before reading a body, and limits the body's size."""

from collections.abc import Callable, Coroutine
from typing import Any

from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

MOST_BYTES = 1 << 20
"""Maximum size of a request's body, which is 1 MiB.

The body of a request with 1,000 applications of 30 fields each has about half this size.
"""


class LimitedRoute(APIRoute):
    """Route that checks the login before reading the body, and refuses a body over MOST_BYTES."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return a handler that checks the login, then reads the body, then calls the route.

        A request without a login gets a 401. A body longer than MOST_BYTES gets a 413.
        """
        handle = super().get_route_handler()

        async def limited(request: Request) -> Response:
            # Check the login here, because FastAPI would read the body before checking the login.
            await get_user(request, None, await bearer_scheme(request))
            body = bytearray()
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_BYTES:
                    raise HTTPException(413, f"the body is longer than {MOST_BYTES} bytes")
            request._body = bytes(body)  # FastAPI reads the body from this cache of starlette
            return await handle(request)

        return limited
