"""Combine the routes of the API into one router, and serve the OpenAPI document."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.utils import get_openapi

from loan_scoring import __version__, contract
from loan_scoring.errors import StateError
from loan_scoring.scoring.fields import example_application
from loan_scoring_web.limits import LimitedRoute
from loan_scoring_web.routes import api_models, api_monitoring, api_scores

PREFIX = "/api/v1"

router = APIRouter(prefix=PREFIX, route_class=LimitedRoute)
for module in (api_scores, api_monitoring, api_models):
    router.include_router(module.router)


@router.get("/openapi.json", include_in_schema=False)
def document(request: Request) -> dict[str, Any]:
    """Return the OpenAPI document of the API, with a complete application as an example."""
    found = get_openapi(
        title="loan-scoring",
        version=__version__,
        description="Score applications on demand, and read the scores, batches, drift tests,"
        " alerts and models of a portfolio. To log in, get a bearer token from Airflow with POST"
        " /auth/token. The role Viewer may read. The roles User, Op and Admin may also score"
        " applications and acknowledge alerts.",
        routes=router.routes,
        servers=[{"url": request.scope.get("root_path", "") or "/"}],
    )
    found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    found["security"] = [{"token": []}]
    valid, broken = contract.load_all()
    if not valid:
        raise StateError("no portfolio has a valid contract: " + "; ".join(broken.values()))
    first = valid[0]
    for methods in found["paths"].values():
        for operation in methods.values():
            operation["parameters"][0]["schema"]["example"] = first.portfolio
    score = found["paths"][f"{PREFIX}/{{portfolio}}/score"]["post"]
    body = score["requestBody"]["content"]["application/json"]
    body["example"] = {
        "model": "champion",
        "applications": [example_application(first)],
    }
    return found
