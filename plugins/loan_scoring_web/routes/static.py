"""Serve the static files of the pages without a login.

The scripts of plotly and of Swagger UI are served from the installed Python packages.
"""

from importlib.metadata import version
from importlib.resources import files

import fastapi_swagger
import plotly
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import loan_scoring_web

PLOTLY = f"plotly-{plotly.__version__}.min.js"
_SWAGGER = files(fastapi_swagger) / "resources"
SWAGGER_VERSION = version("fastapi-swagger")
PACKAGED = {
    PLOTLY: files(plotly) / "package_data" / "plotly.min.js",
    f"swagger-ui-bundle-{SWAGGER_VERSION}.js": _SWAGGER / "swagger-ui-bundle.js",
    f"swagger-ui-{SWAGGER_VERSION}.css": _SWAGGER / "swagger-ui.css",
}
"""Files of packages, each under a name that contains the package's version."""


class Static(StaticFiles):
    """Serve the folder static/, and the files of packages."""

    def __init__(self) -> None:
        super().__init__(directory=str(files(loan_scoring_web) / "static"))

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a response with the content of a file.

        A browser may cache a file of a package for a year, because that of another version has
        another name. A browser must revalidate all other files, because a changed file keeps its
        name.
        """
        if path in PACKAGED:
            found: Response = FileResponse(str(PACKAGED[path]))
            found.headers["Cache-Control"] = "public, max-age=31536000, immutable"
            return found
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405)
        found = await super().get_response(path, scope)
        found.headers["Cache-Control"] = "no-cache"
        return found
