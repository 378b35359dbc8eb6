"""Pages and plain refusals, each with the headers that keep a browser to what is ours."""

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from loan_scoring_web.pages.templating import render_template
from loan_scoring_web.rights import is_admin, may_operate, readable

POLICY = "; ".join(
    [
        "default-src 'self'",
        # plotly places its labels by style attributes, and brings its own rules along.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def page(request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template for the user and portfolio of the request.

    Beside `values` it is given: `base`, what addresses of pages begin with; `airflow`, the same of
    Airflow's; `portfolio`, `portfolios`, `user`, `is_operator`, `is_admin`.
    """
    portfolio = getattr(request.state, "portfolio", None)
    user = getattr(request.state, "reader", None)
    base = request.scope.get("root_path", "")
    known = {
        "base": base,
        "airflow": base.removesuffix("/loan-scoring"),
        "portfolio": portfolio,
        "portfolios": readable(request, user) if user else [],
        "user": user.get_name() if user else None,
        "is_operator": bool(user and portfolio and may_operate(request, portfolio, user)),
        "is_admin": bool(user and is_admin(user)),
    }
    content = render_template(name, **known, **values)
    return HTMLResponse(content, status, {**HEADERS, "Cache-Control": "no-store"})
