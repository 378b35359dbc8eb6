"""Check the quality of a landed batch, and write verdicts, alerts and an HTML page."""

import html
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.database.files import write_whole
from loan_scoring.database.partitions import HISTORY
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError
from loan_scoring.ingest.quality.expectations import (
    QUARANTINED,
    critical_null_shares,
    derive_expectations,
    volume_expectations,
)
from loan_scoring.ingest.quality.great_expectations import ExpectationVerdict, validate_revision
from loan_scoring.ingest.quality.quarantine_shares import check_quarantine, quarantine_message
from loan_scoring.ingest.quality.standalone import standalone

log = logging.getLogger(__name__)

NO_PAGE = "<!DOCTYPE html><html><head><title>Quality</title></head><body></body></html>"
"""The page of a batch whose accepted rows are not checked."""


def check_quality(session: Session, batch: database.Row, batch_id: str) -> list[str]:
    """Check a landed revision, and return a sentence for each critical expectation that failed.

    The list is empty if the revision passes. New verdicts, alerts and a new HTML page replace the
    results of an earlier check of this revision. Rows are written in the caller's transaction.

    Args:
        session: database session of the role that ingests.
        batch: the landed revision, as a row of table `batches`.
        batch_id: batch of the revision.
    """
    revision, rows = batch["revision"], batch["accepted"]
    quarantined = check_quarantine(session, batch, batch_id)
    verdicts: list[ExpectationVerdict] = []
    page = NO_PAGE
    # If too many rows are in quarantine, the accepted ones say nothing about the file.
    if not any(_is_refusing(each) for each in quarantined):
        verdicts, page = _check_accepted(session, batch_id, revision, rows)
    verdicts = quarantined + verdicts
    _write_quality(session, batch_id, revision, verdicts)
    failed = [each for each in verdicts if not each.is_success]
    _write_alerts(session, batch_id, revision, rows, failed)
    page = page.replace("</body>", f"{_quarantine_section(quarantined)}</body>", 1)
    path = _write_page(session.contract.portfolio, batch_id, revision, page)
    is_only_quarantine = any(_is_refusing(each) for each in quarantined)
    log.info(
        "batch %s: %d of %d expectations met%s; see %s",
        batch_id,
        len(verdicts) - len(failed),
        len(verdicts),
        "; with so many rows in quarantine the accepted ones are not judged" * is_only_quarantine,
        path.as_uri(),
    )
    critical = [each for each in failed if _is_refusing(each)]
    critical.sort(key=lambda each: each.expectation.column is not None)
    return [expectation_message(session.contract, each, rows) for each in critical]


def refuse_declared_volume(session: Session, batch_id: str, rows: int) -> None:
    """Refuse a file before it is copied if it declares too many rows for any batch that may pass.

    A batch passes with at most the accepted rows of the critical volume and the share of refused
    rows that the contract allows.

    Args:
        session: database session of the role that ingests.
        batch_id: the batch.
        rows: number of rows that the file declares, or 0.

    Raises:
        SourceError: the file declares more rows.
    """
    policy = session.contract.ingest
    volume = volume_expectations(session.contract, _last_volumes(session, batch_id))
    limits = [each.limits["max_value"] for each in volume if each.severity == "critical"]
    if not rows or not limits or policy.max_quarantined_share >= 1:
        return
    limit = limits[0]
    if rows * (1 - policy.max_quarantined_share) > limit:
        raise SourceError(
            f"batch {batch_id}: the file declares {rows:,} rows; after the last nights at most "
            f"{limit:,} accepted rows are believed: deliver the right file, or widen "
            "ingest.volume.critical in the contract"
        )


def _last_volumes(session: Session, batch_id: str) -> list[int]:
    if batch_id == HISTORY:
        return []
    nights = session.contract.ingest.volume.nights
    found = database.rows(
        session.connection, "select_last_volumes", batch_id=batch_id, nights=nights
    )
    return [row["accepted"] for row in found]


def _check_accepted(
    session: Session, batch_id: str, revision: int, rows: int
) -> tuple[list[ExpectationVerdict], str]:
    """Return the verdicts of Great Expectations on the accepted rows, and its HTML page."""
    volumes = _last_volumes(session, batch_id)
    expected = derive_expectations(session.contract, rows, volumes, batch_id)
    verdicts, page = validate_revision(session, batch_id, revision, expected)
    empty = [
        each.expectation.column or ""
        for each in verdicts
        if each.expectation.rule == "null_share" and not each.is_success
    ]
    if empty:
        expected += critical_null_shares(session.contract, rows, empty)
        verdicts, page = validate_revision(session, batch_id, revision, expected)
    return verdicts, page


def _is_refusing(verdict: ExpectationVerdict) -> bool:
    return not verdict.is_success and verdict.expectation.severity == "critical"


def expectation_message(contract: Contract, verdict: ExpectationVerdict, rows: int) -> str:
    """Return a sentence that says what was observed in the batch and what was expected.

    Args:
        contract: contract of the portfolio.
        verdict: verdict on an expectation that failed.
        rows: number of accepted rows of the batch.
    """
    expectation, limits = verdict.expectation, verdict.expectation.limits
    if expectation.kind == QUARANTINED:
        return quarantine_message(contract, verdict)
    column = contract.by_name.get(expectation.column or "")
    name = f"{column.label} ({column.name})" if column else "the batch"
    observed, unexpected = verdict.observed or 0.0, verdict.unexpected_count or 0
    if expectation.rule in ("null_share", "null_share_critical"):
        at_most = 1 - limits["mostly"]
        return (
            f"{name} is missing in {observed:.1%} of {rows:,} rows, expected at most {at_most:.1%}"
        )
    if expectation.rule in ("levels", "open_levels"):
        return (
            f"{name} has levels that the contract does not know: {verdict.observed_text} "
            f"({unexpected:,} of {rows:,} rows)"
        )
    if expectation.rule == "range":
        low, high = limits["min_value"], limits["max_value"]
        bounds = " to ".join(
            "-" if each is None else f"{each:g}" if isinstance(each, float) else str(each)
            for each in (low, high)
        )
        return f"{name} is outside {bounds} in {unexpected:,} of {rows:,} rows"
    if expectation.rule == "unique":
        return f"{name} is distinct in {observed:.2%} of {rows:,} rows, expected in all"
    if expectation.rule == "schema":
        return f"the columns of applications differ from the contract's: {verdict.observed_text}"
    high = f"{limits['max_value']:,}" if "max_value" in limits else "any number"
    return f"{name} has {observed:,.0f} rows, expected {limits['min_value']:,} to {high}"


def _write_quality(
    session: Session, batch_id: str, revision: int, verdicts: list[ExpectationVerdict]
) -> None:
    key = {"batch_id": batch_id, "revision": revision}
    database.execute(session.connection, "delete_quality", **key)
    made = [each.expectation for each in verdicts]
    rows = pa.table(
        {
            "batch_id": pa.repeat(batch_id, len(verdicts)),
            "revision": pa.repeat(revision, len(verdicts)),
            "expectation": [each.name for each in made],
            "severity": [each.severity for each in made],
            "column_name": pa.array([each.column for each in made], pa.string()),
            "is_success": [each.is_success for each in verdicts],
            "observed": pa.array([each.observed for each in verdicts], pa.float64()),
            "observed_text": pa.array([each.observed_text for each in verdicts], pa.string()),
            "unexpected_count": pa.array([each.unexpected_count for each in verdicts], pa.int64()),
            "limits": [json.dumps({"type": each.kind, **each.limits}) for each in made],
        }
    )
    database.copy_in(session.connection, "quality", rows.column_names, rows)


def _write_alerts(
    session: Session, batch_id: str, revision: int, rows: int, failed: list[ExpectationVerdict]
) -> None:
    """Write one alert for each subject with failed expectations: row rule, column, or batch.

    An alert has the message of its most severe failure. All other open quality alerts on the batch
    are resolved. These are alerts on other revisions, and alerts on subjects that now pass.
    """
    key = {"batch_id": batch_id, "revision": revision}
    by_subject: dict[str, list[ExpectationVerdict]] = {}
    for each in sorted(failed, key=lambda each: each.expectation.severity):
        by_subject.setdefault(each.expectation.subject, []).append(each)
    subjects = list(by_subject)
    database.execute(session.connection, "resolve_quality_alerts", **key, subjects=subjects)
    for subject, verdicts in by_subject.items():
        worst = verdicts[0]
        severity = worst.expectation.severity
        text = expectation_message(session.contract, worst, rows)
        evidence = {
            each.expectation.name: {
                "observed": each.observed,
                "unexpected_count": each.unexpected_count,
                "limits": each.expectation.limits,
            }
            for each in verdicts
        }
        database.execute(
            session.connection,
            "upsert_quality_alert",
            **key,
            severity=severity,
            subject=subject,
            message=text,
            evidence=json.dumps(evidence),
        )
        log.warning("batch %s: %s: %s", batch_id, severity, text)


def _quarantine_section(verdicts: Sequence[ExpectationVerdict]) -> str:
    """Return HTML with the verdicts on quarantined rows. It contains no value of an applicant."""
    rows = "".join(
        f"<tr><td>{html.escape(each.expectation.name)}</td>"
        f"<td>{'met' if each.is_success else html.escape(each.expectation.severity)}</td>"
        f"<td>{each.unexpected_count:,}</td><td>{each.observed:.3%}</td></tr>"
        for each in verdicts
    )
    head = "<tr><th>Expectation</th><th>Verdict</th><th>Rows</th><th>Share of the file</th></tr>"
    return f"<h2>Rows in quarantine</h2><table>{head}{rows}</table>" if verdicts else ""


def _write_page(portfolio: str, batch_id: str, revision: int, page: str) -> Path:
    path = settings.quality_page_path(portfolio, batch_id, revision)
    path.parent.mkdir(parents=True, exist_ok=True)
    title = html.escape(f"{portfolio}, {batch_id} revision {revision}: expectations")
    write_whole(path, standalone(page, title).encode())
    return path
