"""Render a page for the current user, with headers that forbid loading files of other sites."""

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from loan_scoring_web.pages.templating import render_template
from loan_scoring_web.rights import is_admin, may_operate, readable

POLICY = "; ".join(
    [
        "default-src 'self'",
        # Inline styles are allowed because plotly sets style attributes and adds a style element.
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
    "Cache-Control": "no-store",
}


def page(request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return the HTML response of a page, rendered for the user and portfolio of the request.

    Besides `values`, the template has the variables `base` (URL path under which the web app is
    mounted), `airflow` (URL path of Airflow), `portfolio`, `portfolios` (portfolios that the user
    may see), `user`, `is_operator` and `is_admin`.

    Args:
        request: the current request.
        name: file name of the template in the folder templates/.
        status: HTTP status of the response.
        values: further variables of the template.
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
    return HTMLResponse(content, status, HEADERS)
