"""Serve the static files of the pages without a login.

The script of plotly is served from the installed Python package.
"""

from importlib.resources import files

import plotly
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import loan_scoring_web

PLOTLY = f"plotly-{plotly.__version__}.min.js"


class Static(StaticFiles):
    """Serve the folder static/, and plotly's script under a name that contains plotly's version."""

    def __init__(self) -> None:
        super().__init__(directory=str(files(loan_scoring_web) / "static"))

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a response with the content of a file.

        A browser may cache plotly's script for a year, because the script of another version has
        another name. A browser must revalidate all other files, because a changed file keeps its
        name.
        """
        if path == PLOTLY:
            found: Response = FileResponse(str(files(plotly) / "package_data" / "plotly.min.js"))
            found.headers["Cache-Control"] = "public, max-age=31536000, immutable"
            return found
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405)
        found = await super().get_response(path, scope)
        found.headers["Cache-Control"] = "no-cache"
        return found
