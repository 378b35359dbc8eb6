"""Restart components of an Airflow stack and the embedded Postgres after they have died.

Once a day, old rows and logs of Airflow are deleted.
"""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from loan_scoring.errors import LoanScoringError
from loan_scoring.local.airflow_age import clean_daily
from loan_scoring.local.airflow_components import Component
from loan_scoring.local.postgres import EmbeddedPostgres

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0
_PAUSE_SECONDS = 10.0
_JOIN_SECONDS = 15.0


class Keeper:
    """A thread that restarts dead components and a stopped Postgres until `stop` is called."""

    def __init__(
        self,
        components: list[Component],
        state_dir: Path,
        metadata_url: str,
        logs: Path,
        environment: Mapping[str, str],
    ) -> None:
        self._components = components
        self._postgres = EmbeddedPostgres(state_dir)
        self._metadata_url = metadata_url
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="airflow-keeper", daemon=True)
        self._thread.start()
        # A thread of its own, because cleaning takes seconds. It ends with the process.
        threading.Thread(
            target=clean_daily,
            args=(logs, environment, self._is_over),
            name="airflow-age",
            daemon=True,
        ).start()

    def stop(self) -> None:
        """Stop all restarts, and wait up to 15 s until the thread has ended."""
        self._is_over.set()
        self._thread.join(_JOIN_SECONDS)

    def _keep(self) -> None:
        while not self._is_over.wait(_LOOK_SECONDS):
            try:
                if self._owns_postgres() and not self._postgres.is_running():
                    _log.warning("Postgres is down; it is started again")
                    self._postgres.start()
                for component in self._components:
                    if death := component.restart_if_dead():
                        _log.warning("%s; it is started again", death)
            except (LoanScoringError, OSError) as error:
                # The cause may be temporary, such as a full disk. Without this handler the thread
                # would end, and nothing would restart any component.
                _log.warning("%s", error)
                self._is_over.wait(_PAUSE_SECONDS)

    def _owns_postgres(self) -> bool:
        """Return whether Airflow's metadata database is in the embedded Postgres."""
        return (
            self._postgres.folder.is_dir() and self._postgres.url("airflow") == self._metadata_url
        )
