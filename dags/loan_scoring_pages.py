"""Return the URLs of pages of this project's plugin and of pages of Airflow's UI."""

from typing import Any
from urllib.parse import quote

from airflow.configuration import conf
from airflow.sdk import BaseOperatorLink

from loan_scoring_tasks import batch_of


def airflow_address() -> str:
    """Return the URL of Airflow's UI without a final slash.

    Return an empty string if Airflow's setting `base_url` is empty.
    """
    return str(conf.get("api", "base_url", fallback="").rstrip("/"))


def page_address(page: str) -> str:
    """Return the URL of a page of the plugin (plugins/loan_scoring_plugin.py).

    Args:
        page: path of the page below /loan-scoring/.
    """
    return f"{airflow_address()}/loan-scoring/{page}"


def run_address(run: Any) -> str | None:
    """Return the URL of a DAG run's page in Airflow's UI.

    Return None if the URL of Airflow's UI is not set.
    """
    base = airflow_address()
    return f"{base}/dags/{run.dag_id}/runs/{quote(run.run_id)}" if base else None


class QualityPage(BaseOperatorLink):
    """A link in Airflow's UI from the task `check` to the quality page of the batch."""

    name = "Quality of the batch"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 (Airflow's signature)
        """Return the URL of the batch's quality page.

        Airflow calls this method after the task has succeeded or failed.
        """
        context = ti_key.get_template_context()
        revision = ti_key.xcom_pull(task_ids="land")
        return page_address(
            f"p/{ti_key.dag_id.removesuffix('_ingest')}/quality/{batch_of(context)}"
            f"?revision={revision}"
        )
