"""Add the pages, the API and the timetable of nightly DAGs to Airflow, as an Airflow plugin."""

import sys
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from loan_scoring_clock import ClockTimetable
from loan_scoring_nightly import NightlyTimetable

PREFIX = "/loan-scoring"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Pass a request to the web app of loan-scoring. The first request imports the web app.

    The import is inside this function because every Airflow task imports this module. An import
    at the top of the module would slow the start of each task by seconds.
    """
    from loan_scoring_web.app import app as pages

    await pages(scope, receive, send)


class AnswerGuard:
    """Middleware of the API server that refuses answers on a promotion by the wrong person.

    The check is imported with the first such answer, as in `app`.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or send the refusal."""
        is_answer = scope["type"] == "http" and scope["method"] == "PATCH"
        if is_answer and scope["path"].rstrip("/").endswith("/hitlDetails"):
            from loan_scoring_web.answers import refuse_answer

            refusal = await refuse_answer(scope)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)


class LoanScoringPlugin(AirflowPlugin):
    """The Airflow plugin: it mounts the web app under /loan-scoring and registers the timetable.

    Airflow's UI shows the link Scoring in the navigation and the tab Portfolio on each DAG. Airflow
    reads a stored DAG only if the timetable of the DAG is registered.
    """

    name = "loan_scoring"
    timetables = [NightlyTimetable, ClockTimetable]  # noqa: RUF012 (Airflow's signature)
    fastapi_apps = [{"app": app, "url_prefix": PREFIX, "name": "loan-scoring"}]  # noqa: RUF012 (Airflow's signature)
    fastapi_root_middlewares = [  # noqa: RUF012 (Airflow's signature)
        {"middleware": AnswerGuard, "name": "loan-scoring-answers"}
    ]
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
        """In the API server, import the web app and log whether the database can be reached.

        In other processes of Airflow, such as tasks, do nothing.
        """
        if "airflow.api_fastapi.main" in sys.modules:
            import loan_scoring_web.app  # noqa: F401 - otherwise the first request waits for the import
            from loan_scoring_web import databases

            databases.log_database_at_start()
