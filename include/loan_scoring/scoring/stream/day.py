"""Open the day of a stream, and seal, check and publish it at its end.

The applications of a business date are one batch of kind `stream`. Its rows are added until the day
is sealed. Readers see its scores from then on, all at once, as they see those of a night
(docs/adr/0061).
"""

import logging
from dataclasses import dataclass
from datetime import date, datetime

from loan_scoring import database
from loan_scoring.contract import judge_batch_id, row_rules_sha256
from loan_scoring.contract.business_dates import ONE_DAY, local_time
from loan_scoring.counted import counted
from loan_scoring.database import audit
from loan_scoring.database.partitions import ensure_partition
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError, StateError
from loan_scoring.features.lookups import last_delivery
from loan_scoring.ingest.quality.check import check_quality
from loan_scoring.ingest.revisions import read_revision
from loan_scoring.models import registry
from loan_scoring.scoring.batch import publish_scores
from loan_scoring.scoring.run_ids import policy_hash, policy_text

log = logging.getLogger(__name__)

SOURCE = "stream"
"""Column `source` of a batch that came by a stream."""


@dataclass(frozen=True)
class SealedDay:
    """The counts of a sealed day, and whether its scores are published."""

    batch_id: str
    revision: int
    received: int
    accepted: int
    quarantined: int
    scoring_run_id: str

    @property
    def sentence(self) -> str:
        """The counts as a sentence."""
        return (
            f"batch {self.batch_id} revision {self.revision}, sealed: {self.received} received, "
            f"{self.accepted} accepted and scored, {self.quarantined} quarantined"
        )


def open_day(session: Session, now: datetime | None = None) -> database.Row:
    """Return the open day to which a message of now belongs, with its run. Open it if needed.

    It is the date in the portfolio's time zone. If that day is sealed already, it is the next date.

    Raises:
        StateError: a file came for the date, or there is no champion.
    """
    day = local_time(session.contract.schedules.timezone, now).date()
    while True:
        found = _day(session, day)
        if found is None:
            found = _open(session, day)
        if found["kind"] != SOURCE:
            raise StateError(
                f"batch {day} came from a file, and messages of the date cannot be added to it; "
                f"withdraw it (loan-scoring withdraw --portfolio {session.contract.portfolio} "
                f"--batch {day} --comment TEXT), or give the stream a portfolio of its own"
            )
        if found["sealed_at"] is None:
            return found
        day += ONE_DAY


def _day(session: Session, day: date) -> database.Row | None:
    with database.transaction(session.connection):
        return database.row(session.connection, "select_stream_day", batch_id=str(day))


def _open(session: Session, day: date) -> database.Row:
    connection, contract, batch_id = session.connection, session.contract, str(day)
    for table in ("applications", "scores"):
        ensure_partition(connection, table, batch_id)
    with database.transaction(connection):
        propensity, personas = registry.champion_pair(session)
        database.lock(connection, f"batch:{batch_id}")
        known = database.row(connection, "select_stream_day", batch_id=batch_id)
        if known is None:
            added = database.row(
                connection,
                "insert_stream_day",
                batch_id=batch_id,
                source=SOURCE,
                header=[],
                rules_sha256=row_rules_sha256(contract),
            )
            assert added is not None  # noqa: S101 - INSERT ... RETURNING returns the new row
            revision = added["revision"]
            database.execute(
                connection,
                "insert_scoring_run",
                scoring_run_id=f"{batch_id}-r{revision}-stream-{policy_hash(contract)}",
                batch_id=batch_id,
                revision=revision,
                propensity_version=propensity,
                personas_version=personas,
                policy=policy_text(contract),
                applications=0,
                lookup_delivery_id=last_delivery(session) if contract.lookups else None,
                canary=None,
            )
            database.execute(
                connection,
                "insert_contract",
                batch_id=batch_id,
                contract=contract.model_dump_json(),
            )
            known = database.row(connection, "select_stream_day", batch_id=batch_id)
            log.info("batch %s: opened as the day of a stream", batch_id)
    assert known is not None  # noqa: S101 - just inserted
    return known


def seal_day(session: Session, batch_id: str) -> SealedDay:
    """Close the day of a stream, so that nothing is added, and reconcile its counts.

    A sealed day stays as it is. Messages that arrive later on the same date belong to the next one.

    Raises:
        StateError: no stream has the date, or the tables differ in what they hold of it.
    """
    judge_batch_id(session.contract, batch_id)
    connection = session.connection
    with database.transaction(connection):
        # A consumer holds this lock while it writes, so the counts are final.
        database.lock(connection, f"batch:{batch_id}")
        day = database.row(connection, "select_stream_day", batch_id=batch_id)
        if day is None or day["kind"] != SOURCE:
            raise StateError(
                f"batch {batch_id} is not the day of a stream; nothing was sealed; "
                "`loan-scoring status` lists the batches"
            )
        key = {"batch_id": batch_id, "revision": day["revision"]}
        run = {"scoring_run_id": day["scoring_run_id"]}
        sealed = SealedDay(
            **key, **run, **{name: day[name] for name in ("received", "accepted", "quarantined")}
        )
        if day["sealed_at"] is not None:
            return sealed
        held = database.row(connection, "count_stream_day", **key, **run)
        assert held is not None  # noqa: S101 - the day was found
        wanted = {
            "messages": day["received"],
            "applications": day["accepted"],
            "scores": day["accepted"],
            "in_quarantine": day["quarantined"],
        }
        differ = [
            f"{name.replace('_', ' ')} {held[name]} instead of {number}"
            for name, number in wanted.items()
            if held[name] != number
        ]
        if differ:
            raise StateError(
                f"batch {batch_id} cannot be sealed, because its counts differ: "
                f"{', '.join(differ)}; somebody changed its rows; ask the owner of the database"
            )
        database.execute(connection, "seal_stream_day", **key, sha256=held["sha256"])
        database.execute(connection, "seal_stream_run", **run)
    log.info("%s", sealed.sentence)
    return sealed


def finish_day(
    session: Session, batch_id: str, by: str | None = None, accepted_because: str | None = None
) -> SealedDay:
    """Seal the day of a stream, check it and publish it. Every step can be repeated.

    The rows of a day that fails the check are kept, because its applicants have been answered. The
    day then stays unpublished until a person accepts it.

    Args:
        session: database session of the role that ingests.
        batch_id: date of the day.
        by: who, such as `cli:USER`. None means the role of the session.
        accepted_because: why a person publishes the day although it fails the check, or None.

    Raises:
        StateError: no stream has the date, or the tables differ in what they hold of it.
        SourceError: the day fails the check, and nobody accepted it.
    """
    sealed = seal_day(session, batch_id)
    connection = session.connection
    key = {"batch_id": batch_id, "revision": sealed.revision}
    failed = _check(session, sealed)
    if failed and accepted_because is None:
        raise SourceError(
            f"batch {batch_id} came by the stream and is held back: {'; '.join(failed[:3])}; its "
            "applicants are answered and nothing is lost; publish it with `loan-scoring stream "
            f"seal --portfolio {session.contract.portfolio} --batch {batch_id} --accept REASON`"
        )
    with database.transaction(connection):
        database.lock(connection, f"batch:{batch_id}")
        if read_revision(session, batch_id, sealed.revision)["state"] == "landed":
            who = audit.acting(session, by)
            database.execute(connection, "publish_batch", **key, published_by=who)
            if failed:
                details = {
                    "revision": sealed.revision,
                    "failed": failed,
                    "reason": accepted_because,
                }
                audit.record_entry(session, who, "batch.accept", batch_id, details)
    with database.transaction(connection):
        current = database.row(connection, "select_current_run", batch_id=batch_id)
    if current is None:
        publish_scores(session, sealed.scoring_run_id, by)
    return sealed


def _check(session: Session, sealed: SealedDay) -> list[str]:
    """Let Great Expectations judge a sealed day that is not published. Return what failed."""
    with database.transaction(session.connection):
        database.lock(session.connection, f"batch:{sealed.batch_id}")
        batch = read_revision(session, sealed.batch_id, sealed.revision)
        if batch["state"] == "published":
            return []
        return check_quality(session, batch, sealed.batch_id)


def days_to_finish(session: Session, now: datetime | None = None) -> list[database.Row]:
    """Return the days of the stream that are not sealed, published or compared, oldest first.

    These are the ended days, and those that a person sealed before their end.
    Each has `batch_id`, `is_sealed` and `is_published`.
    """
    today = local_time(session.contract.schedules.timezone, now).date()
    with database.transaction(session.connection):
        return database.rows(session.connection, "select_stream_days", before=str(today))


def finish_days(
    session: Session, by: str | None = None, now: datetime | None = None
) -> tuple[list[str], list[str]]:
    """Finish every ended day. Return the days to compare with the baseline, and what went wrong.

    One day that is held back does not keep the others. The days to compare include those that were
    published earlier and are not compared, so that a lost event is announced again.
    """
    done, wrong = [], []
    for day in days_to_finish(session, now):
        if not day["is_published"]:
            try:
                finish_day(session, day["batch_id"], by)
            except (SourceError, StateError) as error:
                log.warning("%s", error)
                wrong.append(str(error))
                continue
        done.append(day["batch_id"])
    log.info("%s of the stream to compare", counted(len(done), "day"))
    return done, wrong
