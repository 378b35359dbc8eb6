"""The plugin that Airflow finds: it adds the pages of loan-scoring to Airflow's UI."""

import sys
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/loan-scoring"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Pass a request to the pages' app, which is imported on the first one.

    Every task imports this module. Importing the app with it would cost each task seconds.
    """
    from loan_scoring_web.app import app as pages

    await pages(scope, receive, send)


class LoanScoringPlugin(AirflowPlugin):
    """Mounts the pages under /loan-scoring, in the navigation and as a tab on each DAG."""

    name = "loan_scoring"
    fastapi_apps = [{"app": app, "url_prefix": PREFIX, "name": "loan-scoring"}]  # noqa: RUF012 (Airflow's signature)
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
        """Import the pages' app when the API server starts; log whether its database answers."""
        if "airflow.api_fastapi.main" in sys.modules:
            import loan_scoring_web.app  # noqa: F401 - so that the first request need not wait
            from loan_scoring_web import databases

            databases.log_database_at_start()
