"""The trigger that waits in Airflow's triggerer until the file of a night is whole."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

POLL_SECONDS = 5


class WholeFileTrigger(BaseTrigger):
    """Fire when the file of applications for a batch is whole, or when the time is over.

    The event is True if the file is whole. No worker is in use meanwhile.

    Args:
        portfolio: name of the portfolio.
        batch_id: batch of the file.
        until: when to stop waiting, in ISO format with a time zone.
    """

    def __init__(self, portfolio: str, batch_id: str, until: str) -> None:
        super().__init__()
        self._given = {"portfolio": portfolio, "batch_id": batch_id, "until": until}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the import path and the arguments, from which the triggerer makes the trigger."""
        return f"{type(self).__module__}.{type(self).__name__}", self._given

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the landing folder every POLL_SECONDS, and yield one event."""
        until = datetime.fromisoformat(self._given["until"])
        while True:
            is_over = datetime.now(UTC) >= until
            if await asyncio.to_thread(self._is_landed) or is_over:
                yield TriggerEvent(not is_over)
                return
            left = (until - datetime.now(UTC)).total_seconds()
            await asyncio.sleep(max(0.0, min(POLL_SECONDS, left)))

    def _is_landed(self) -> bool:
        # Imported here, in a thread, because these imports would stop the triggerer for a second.
        from loan_scoring import contract
        from loan_scoring.errors import ContractError
        from loan_scoring.ingest.landing import is_landed

        try:
            return is_landed(contract.load(self._given["portfolio"]), self._given["batch_id"])
        except ContractError:
            # A broken contract has no DAG, so the task could not go on. It goes on when the file is
            # mended, and loan_scoring_contracts.py opens an alert meanwhile.
            return False
