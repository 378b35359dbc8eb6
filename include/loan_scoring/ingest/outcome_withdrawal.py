"""Withdraw a wrong file of outcomes, undo the withdrawal, and refuse what was withdrawn."""

import logging
from dataclasses import dataclass
from datetime import datetime

from loan_scoring import database
from loan_scoring.database import audit
from loan_scoring.database.session import Session
from loan_scoring.errors import LoanScoringError, MissingError, StateError
from loan_scoring.ingest.files.locations import Location, location_label
from loan_scoring.ingest.outcome_changes import ChangedLoans, record_change, refresh_outcomes
from loan_scoring.ingest.outcome_files import PREFIX, outcome_file

log = logging.getLogger(__name__)

ACTIONS = {"withdrawn": "outcomes.withdraw", "restored": "outcomes.restore"}
"""Action in the audit log, by change."""


@dataclass(frozen=True)
class WithdrawnOutcomes:
    """A file of outcomes after a withdrawal or after its undoing, with what was changed.

    `state` is `withdrawn`, `current` or `replaced`. If `is_unchanged` is true, the file was in the
    wanted state already, since `changed_at` by `changed_by`, and nothing was changed.
    """

    drop_id: str
    revision: int
    state: str
    statements: int
    loans: ChangedLoans
    changed_at: datetime
    changed_by: str | None
    is_unchanged: bool = False


def withdraw_outcomes(
    session: Session,
    source: str,
    comment: str,
    user: str,
    *,
    revision: int | None = None,
    undo: bool = False,
) -> WithdrawnOutcomes:
    """Take all statements of a file of outcomes out, or with `undo` bring them back.

    The newest of the remaining statements on each loan becomes its outcome. All statements are
    kept. A second call changes nothing. The change and an entry in the audit log are written in
    one transaction.

    Args:
        session: database session of the role that ingests.
        source: name, path or drop_id of the file.
        comment: reason, not empty.
        user: who acts, as `cli:NAME`.
        revision: revision of the file. None means the newest revision.
        undo: whether to undo a withdrawal. If a later revision of the file has landed since, its
            statements go on to count, and the file with the withdrawn bytes may land again.

    Raises:
        MissingError: there is no such file of outcomes, or no such revision.
        LoanScoringError: the comment is empty or cannot be stored.
    """
    comment = " ".join(comment.split())
    if not comment or "\x00" in comment:
        raise LoanScoringError(
            "--comment is empty or not readable; give the reason, it is recorded in the audit log"
        )
    change_name = "restored" if undo else "withdrawn"
    connection = session.connection
    with database.transaction(connection):
        database.lock(connection, "outcomes")
        found = _find(session, source, revision)
        if (found["state"] == "withdrawn") is not undo:
            log.info("%s revision %s: nothing to change", found["drop_id"], found["revision"])
            return _result(found, found["state"], ChangedLoans(), is_unchanged=True)
        key = {"drop_id": found["drop_id"], "revision": found["revision"]}
        database.execute(connection, "insert_repeated_outcomes", **key)
        change = record_change(session, change_name, **key, user=user, comment=comment)
        loans = refresh_outcomes(session, change, found["drop_id"], found["revision"])
        now = _find(session, found["drop_id"], found["revision"])
        details = {"comment": comment, "change_id": change.change_id, **vars(loans)}
        subject = f"{found['drop_id']} revision {found['revision']}"
        audit.record_entry(session, user, ACTIONS[change_name], subject, details)
    return _result(now, now["state"], loans)


def refuse_withdrawn_file(
    session: Session, location: Location, drop_id: str, sha256: str | None
) -> None:
    """Refuse a file whose bytes a person has withdrawn under the same name.

    Args:
        session: session with an open transaction.
        location: the file.
        drop_id: name of the file.
        sha256: hash of the file. None for rows that are added to the newest revision, which are
            refused if this revision was withdrawn.

    Raises:
        StateError: the bytes, or the newest revision, were withdrawn.
    """
    connection = session.connection
    if sha256 is None:
        found = database.row(connection, "select_outcome_file", drop_id=drop_id, revision=None)
        if found is None or found["state"] != "withdrawn":
            return
    else:
        found = database.row(connection, "select_withdrawn_file", drop_id=drop_id, sha256=sha256)
        if found is None:
            return
    revision = found["revision"]
    raise StateError(
        f"{location_label(location)}: it belongs to {drop_id} revision {revision}, which "
        f"{found['changed_by']} withdrew on {found['changed_at']:%Y-%m-%d} ({found['comment']}); "
        "deliver a corrected file, or take it back: loan-scoring outcomes withdraw --source "
        f"{drop_id} --revision {revision} --undo --comment TEXT"
    )


def _find(session: Session, source: str, revision: int | None) -> database.Row:
    """Return the revision of a file of outcomes that a person names."""
    names = [source] if source.startswith(PREFIX) else []
    for drop_id in [*names, outcome_file(source).drop_id]:
        found = database.row(
            session.connection, "select_outcome_file", drop_id=drop_id, revision=revision
        )
        if found is not None:
            return found
    what = source if revision is None else f"{source} with a revision {revision}"
    raise MissingError(
        f"{session.contract.portfolio} has no file of outcomes {what}; "
        "`loan-scoring status` lists the files"
    )


def _result(
    found: database.Row, state: str, loans: ChangedLoans, is_unchanged: bool = False
) -> WithdrawnOutcomes:
    return WithdrawnOutcomes(
        found["drop_id"],
        found["revision"],
        state,
        found["accepted"],
        loans,
        found["changed_at"],
        found["changed_by"],
        is_unchanged,
    )
