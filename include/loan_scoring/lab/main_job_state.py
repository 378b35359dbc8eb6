"""Read from Postgres which steps of the main job are done."""

from dataclasses import dataclass

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import LoanScoringError
from loan_scoring.lab.replay import Replay


@dataclass(frozen=True)
class MainJobState:
    """State of the main job. Every method reads the current state from Postgres."""

    session: Session
    replay: Replay

    def done_steps(self) -> list[str]:
        """Return every finished step as a line of text for the progress report."""
        steps = []
        if self._champion_lag() is not None:
            steps.append("history ingested")
        if self.is_trained():
            steps.append("models fitted and judged")
        for row in self._nights():
            steps += [
                f"{row['batch_id']} {step}"
                for step, name in (
                    ("ingested", "is_published"),
                    ("scored", "is_scored"),
                    ("compared with the baseline", "is_compared"),
                )
                if row[name]
            ]
        return steps + [f"{drop_id} taken in" for drop_id in sorted(self.ingested_drops())]

    def count_steps(self) -> int:
        """Return the number of all steps of the job, finished and unfinished."""
        return 2 + 3 * len(self.replay.batch_ids) + len(self.due_drops())

    def is_trained(self) -> bool:
        """Return whether there is a champion and models fitted on the current history were judged.

        Raises:
            LoanScoringError: a gate refused the first models, so there is no champion.
        """
        lag = self._champion_lag()
        if lag is None or not lag["is_judged_on_it"]:
            return False
        if lag["model_version"] is None:
            raise LoanScoringError(
                "a gate refused the models fitted on the history; overrule the gate, then run "
                "`make run` again; for the reason and the command, type: "
                f"loan-scoring models list --portfolio {self.session.contract.portfolio}"
            )
        return True

    def is_watched(self) -> bool:
        """Return whether the runner-up is in shadow, or there is none to wait for.

        The task that mirrors the models is the last one of a training.
        """
        if not self.session.contract.promotion.shadow_runner_up:
            return True
        with database.transaction(self.session.connection):
            found = database.row(self.session.connection, "select_shadow_begun")
        return found is not None and bool(found["is_begun"])

    def is_published(self) -> bool:
        """Return whether every night is ingested."""
        return all(row["is_published"] for row in self._nights())

    def is_complete(self) -> bool:
        """Return whether no step of the job is left.

        The job is complete if a champion exists, every night is compared with the baseline and with
        the challenger in shadow, and all due outcomes are ingested.
        """
        return (
            self.is_trained()
            and not self.uncompared_nights()
            and self._is_judged_in_shadow()
            and self.ingested_drops() == self.due_drops().keys()
        )

    def uncompared_nights(self) -> list[str]:
        """Return the batch_ids of the nights that are not compared with the baseline yet."""
        return [row["batch_id"] for row in self._nights() if not row["is_compared"]]

    def due_drops(self) -> dict[str, str]:
        """Return the date of each outcome drop that lands by the last night, by drop_id."""
        dates = {path.name.split(".")[0] for path in self.replay.outcome_files}
        last = self.replay.batch_ids[-1]
        return {f"outcomes-{date}": date for date in sorted(dates) if date <= last}

    def ingested_drops(self) -> set[str]:
        """Return the drop_ids of the due outcomes that are ingested."""
        drop_ids = list(self.due_drops())
        with database.transaction(self.session.connection):
            found = database.rows(self.session.connection, "select_drops_taken", drop_ids=drop_ids)
        return {row["drop_id"] for row in found}

    def _is_judged_in_shadow(self) -> bool:
        """Return whether every night is shadowed and the challenger was judged after enough."""
        needed = self.session.contract.promotion.shadow_nights
        if not needed:
            return True
        if not all(row["is_shadowed"] for row in self._nights()):
            return False
        with database.transaction(self.session.connection):
            found = database.row(self.session.connection, "select_shadow_due", shadow_nights=needed)
        return found is not None and not found["is_due"]

    def _nights(self) -> list[database.Row]:
        with database.transaction(self.session.connection):
            return database.rows(
                self.session.connection, "select_progress", batch_ids=self.replay.batch_ids
            )

    def _champion_lag(self) -> database.Row | None:
        with database.transaction(self.session.connection):
            return database.row(self.session.connection, "select_champion_lag")
