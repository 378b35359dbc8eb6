"""Render a page for its user, with the headers that make a browser load only our own files."""

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from loan_scoring_web.pages.templating import render_template
from loan_scoring_web.rights import is_admin, may_operate, readable

POLICY = "; ".join(
    [
        "default-src 'self'",
        # plotly sets style attributes and adds a style sheet of its own.
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
    """Return a template rendered for the user and portfolio of the request.

    Besides `values` a template gets `base` (the prefix of our pages' addresses), `airflow` (the
    prefix of Airflow's), `portfolio`, `portfolios`, `user`, `is_operator` and `is_admin`.
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
