"""The first task of ingest: wait for the file of the night without a worker, then land it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from loan_scoring import contract as contracts
from loan_scoring.contract.business_dates import deadline_after, is_expected, read_date
from loan_scoring.errors import PassingSourceError, SourceError
from loan_scoring_tasks import batch_id, task_session
from loan_scoring_waiting import WholeFileTrigger

MORE_TIME = timedelta(seconds=60)


class LandOperator(BaseOperator):
    """Copy the rows of the landed file into an unpublished revision, and return its number.

    While the file is not whole, the task is deferred: it waits in the triggerer. A scheduled run
    waits until the contract's `ingest.deadline` and then fails for good. Any run waits for a file
    that is there but has not settled.
    """

    def __init__(self, *, portfolio: str, **arguments: Any) -> None:
        """Create the task for a portfolio. `arguments` are those of any operator."""
        super().__init__(**arguments)
        self.portfolio = portfolio

    def execute(self, context: Any) -> int:
        """Land the file if it is whole. Otherwise defer the task, or fail if its time is over."""
        contract, now = contracts.load(self.portfolio), datetime.now(UTC)
        until = self._until(context, contract, now)
        if until > now:
            self.defer(
                trigger=WholeFileTrigger(self.portfolio, batch_id(), until.isoformat()),
                method_name="land",
            )
        return self.land(context, event=None)

    def _until(self, context: Any, contract: contracts.Contract, now: datetime) -> datetime:
        """Return until when to wait, or `now` if there is nothing to wait for.

        Raises:
            AirflowSkipException: no file is expected on this day of the week, and none is there.
        """
        from loan_scoring.ingest.landing import find_landed_files, is_landed

        day, run = read_date(batch_id()), context["dag_run"]
        is_there = bool(find_landed_files(contract, "applications", batch_id()))
        if day is not None and not is_there and not is_expected(contract, day):
            raise AirflowSkipException(f"no file is expected for {day:%A} {day}, and none is there")
        if is_landed(contract, batch_id()):
            return now
        settled = now + timedelta(seconds=contract.ingest.settled_seconds) + MORE_TIME
        until = settled if is_there else now
        if run.run_type != "scheduled":
            return until
        return max(until, deadline_after(contract, run.run_after))

    def land(self, context: Any, event: bool | None) -> int:
        """Take the look-ups that have landed, then land the file.

        `event` is False if the trigger waited in vain, None if it did not wait.

        Raises:
            AirflowFailException: the file is still not whole although the time is over.
        """
        from loan_scoring.ingest.batches import land_batch
        from loan_scoring.ingest.landing import find_applications_file
        from loan_scoring.ingest.lookups import take_landed_lookups

        is_last = event is False or (
            context["dag_run"].run_type == "scheduled"
            and contracts.load(self.portfolio).ingest.deadline is not None
        )
        with task_session(self.portfolio, batch_id()) as (session, work):
            try:
                source = find_applications_file(session, batch_id())
            except PassingSourceError as error:
                if is_last:
                    at = session.contract.ingest.deadline or "now"
                    raise SourceError(f"waited until {at}: {error}") from error
                raise
            take_landed_lookups(session, f"airflow:{self.portfolio}_ingest")
            landed = land_batch(session, batch_id(), source)
            work.rows = landed.received
        return landed.revision
