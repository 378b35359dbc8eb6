"""Combine the routes of the API into one router. Serve its OpenAPI document and a Python client."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response

from loan_scoring import __version__, contract
from loan_scoring.contract import Contract
from loan_scoring.errors import MissingError, StateError
from loan_scoring.scoring.fields import example_application
from loan_scoring_web.client import client_module
from loan_scoring_web.limits import LimitedRoute
from loan_scoring_web.problems import MEDIA_TYPE
from loan_scoring_web.routes import api_models, api_monitoring, api_scores

PREFIX = "/api/v1"

router = APIRouter(prefix=PREFIX, route_class=LimitedRoute)
for module in (api_scores, api_monitoring, api_models):
    router.include_router(module.router, generate_unique_id_function=lambda route: route.name)


@router.get("/openapi.json", include_in_schema=False)
def document(request: Request, portfolio: str | None = None) -> dict[str, Any]:
    """Return the OpenAPI document of the API, with a complete application as an example.

    The example is of the given portfolio, or else of the first portfolio.
    """
    return openapi_document(request.scope.get("root_path", ""), portfolio)


@router.get("/client.py", include_in_schema=False)
def client(request: Request) -> Response:
    """Return a Python module with a client of the API, made from the OpenAPI document."""
    text = client_module(openapi_document(request.scope.get("root_path", ""), None))
    return Response(
        text,
        media_type="text/x-python",
        headers={"Content-Disposition": 'attachment; filename="loan_scoring_client.py"'},
    )


def openapi_document(base: str, portfolio: str | None) -> dict[str, Any]:
    """Return the OpenAPI document of the API.

    Args:
        base: path under which Airflow serves the plugin.
        portfolio: portfolio of the examples. None means the first one.
    """
    found = get_openapi(
        title="loan-scoring",
        version=__version__,
        description="Score applications on demand, and read the scores, batches, drift tests,"
        " alerts and models of a portfolio. To log in, get a bearer token from Airflow with POST"
        " /auth/token. The role Viewer may read. The roles User, Op and Admin may also score"
        " applications and acknowledge alerts.",
        routes=router.routes,
        servers=[{"url": base or "/"}],
    )
    found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    found["security"] = [{"token": []}]
    first = _example_of(portfolio)
    for methods in found["paths"].values():
        for operation in methods.values():
            operation["parameters"][0]["schema"]["example"] = first.portfolio
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    answer["content"] = {MEDIA_TYPE: answer["content"]["application/json"]}
    score = found["paths"][f"{PREFIX}/{{portfolio}}/score"]["post"]
    body = score["requestBody"]["content"]["application/json"]
    body["example"] = {
        "model": "champion",
        "applications": [example_application(first)],
    }
    return found


def _example_of(portfolio: str | None) -> Contract:
    valid, broken = contract.load_all()
    if portfolio is not None:
        if portfolio not in contract.names():
            raise MissingError(f"there is no portfolio {portfolio[:100]}")
        return contract.load(portfolio)
    if not valid:
        raise StateError("no portfolio has a valid contract: " + "; ".join(broken.values()))
    return valid[0]
