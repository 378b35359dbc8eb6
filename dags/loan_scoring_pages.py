"""Addresses of pages: those of the plugin, and those of Airflow's own UI."""

from typing import Any
from urllib.parse import quote

from airflow.configuration import conf
from airflow.sdk import BaseOperatorLink

from loan_scoring_tasks import batch_of


def airflow_address() -> str:
    """Return the address of Airflow's UI without a final slash, empty where none is set."""
    return str(conf.get("api", "base_url", fallback="").rstrip("/"))


def page_address(page: str) -> str:
    """Return the address of a page of the plugin, see plugins/loan_scoring_plugin.py."""
    return f"{airflow_address()}/loan-scoring/{page}"


def run_address(run: Any) -> str | None:
    """Return the address of a DAG run's page in Airflow's UI, None where none is set."""
    base = airflow_address()
    return f"{base}/dags/{run.dag_id}/runs/{quote(run.run_id)}" if base else None


class QualityPage(BaseOperatorLink):
    """The button on ingest's task `check`: it opens the page of the batch's quality."""

    name = "Quality of the batch"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 (Airflow's signature)
        """Return the page's address. Airflow calls this once the task has ended, failed or not."""
        context = ti_key.get_template_context()
        revision = ti_key.xcom_pull(task_ids="land")
        return page_address(f"quality/{ti_key.dag_id}/{batch_of(context)}/{revision}")
