"""What Airflow's UI shows of loan-scoring, behind Airflow's own login and rights."""

import sys
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/loan-scoring"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer as the pages' app does, which is imported here.

    Every task imports this module: with the app, it would spend seconds on pages it never shows.
    """
    from loan_scoring_web.app import app as pages

    await pages(scope, receive, send)


class LoanScoringPlugin(AirflowPlugin):
    """Mounts the pages under /loan-scoring: in the navigation and as a tab on each DAG."""

    name = "loan_scoring"
    fastapi_apps = [{"app": app, "url_prefix": PREFIX, "name": "loan-scoring"}]  # noqa: RUF012 (Airflow's form)
    external_views = [  # noqa: RUF012
        {
            "name": "Scoring",
            "href": f"{PREFIX}/",
            "destination": "nav",
            "url_route": "loan-scoring",
            "icon": f"{PREFIX}/static/icon-light.svg",
            "icon_dark_mode": f"{PREFIX}/static/icon-dark.svg",
        },
        {
            "name": "Portfolio",
            "href": f"{PREFIX}/dag/{{DAG_ID}}",
            "destination": "dag",
            "url_route": "loan-scoring-portfolio",
            "icon": f"{PREFIX}/static/icon-light.svg",
            "icon_dark_mode": f"{PREFIX}/static/icon-dark.svg",
        },
    ]

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Load the pages at the API server's start; say in one line where they have no database."""
        if "airflow.api_fastapi.main" in sys.modules:
            import loan_scoring_web.app  # noqa: F401 - so that nobody waits for it
            from loan_scoring_web import databases

            databases.tell_at_start()
