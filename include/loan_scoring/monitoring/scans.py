"""Compare the scans of a date with the classifier's training, and alert on pages that are left.

When a scanner ages or is replaced, the quality of its scans and the classifier's score move before
readings become wrong. Both have alerts of kind `scans` (docs/adr/0067).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from loan_scoring import database, settings
from loan_scoring.contract.business_dates import run_time
from loan_scoring.counted import counted
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.monitoring.alerts.episodes import STABLE_BATCHES
from loan_scoring.monitoring.drift.statistical_tests import ks
from loan_scoring.statistics.distribution import Distribution, cdf_gaps
from loan_scoring.statistics.multiple_tests import benjamini_hochberg
from loan_scoring.statistics.psi import score_psi

FEWEST = 20
"""Fewest forms of a date that are compared. With fewer, the tests find large shifts only."""
SCANNER, PAGES = "scanner", "pages"
"""Subjects of the alerts: scans differ from training, or pages are left."""
LABELS = {
    "form_score": "the classifier's score of a form", "dpi": "the resolution (dpi)",
    "contrast": "the contrast", "blur_mm": "the width of edges (mm)", "degrees": "the angle",
}  # fmt: skip


@dataclass(frozen=True)
class ComparedFigure:
    """One figure of a date's forms beside the baseline, with medians and tests."""

    before: float
    now: float
    psi: float
    ks: float
    p_value: float

    def is_drifted(self, q: float, psi: float) -> bool:
        """Return whether it differs by more than chance, and by more than is usual."""
        return self.p_value < q and self.psi >= psi


def compare_figures(
    baseline: Mapping[str, Sequence[float]], batch: Mapping[str, Sequence[float]]
) -> dict[str, ComparedFigure]:
    """Return the comparison of each figure that both sides have.

    `psi` is corrected for the number of pages. `p_value` is that of the Kolmogorov-Smirnov test,
    adjusted for the number of figures (Benjamini-Hochberg).

    Args:
        baseline, batch: values of each figure, one for each form.
    """
    found: dict[str, tuple[float, float, float, float, float]] = {}
    for name in [each for each in LABELS if each in baseline and each in batch]:
        before, now = np.asarray(baseline[name], float), np.asarray(batch[name], float)
        _, gaps = cdf_gaps(Distribution.of(before), Distribution.of(now))
        statistic, p_value = ks(gaps, len(before), len(now))
        index = score_psi(before, now)["psi"]
        found[name] = float(np.median(before)), float(np.median(now)), index, statistic, p_value
    adjusted = benjamini_hochberg(np.array([each[-1] for each in found.values()]))
    return {
        name: ComparedFigure(*each[:-1], float(p_value))
        for (name, each), p_value in zip(found.items(), adjusted, strict=True)
    }


def watch_scans(session: Session, batch_id: str, now: datetime | None = None) -> list[str]:
    """Compare the forms of a date with training, and open or resolve both alerts on scans.

    Return the figures that differ. Nothing is compared without a classifier in use, or with fewer
    forms than FEWEST.

    Args:
        session: database session.
        batch_id: business date.
        now: time by which dates are over. None means the clock.
    """
    with database.transaction(session.connection):
        database.lock(session.connection, "alerts")
        drifted = _check_scanner(session, batch_id)
        _alert_on_scanner(session)
        _alert_on_pages(session, now or datetime.now(UTC))
    return drifted


def _check_scanner(session: Session, batch_id: str) -> list[str]:
    connection = session.connection
    version = registry.champion_version(session, registry.SCANS)
    if version is None:
        return []
    forms = database.rows(
        connection, "select_form_figures", batch_id=batch_id, model_version=version
    )
    if len(forms) < FEWEST:
        return []
    baseline = registry.model_row(session, version)["baseline"]["values"]
    batch = {name: [row["figures"][name] for row in forms] for name in LABELS}
    compared, policy = compare_figures(baseline, batch), session.contract.monitoring
    drifted = [
        name for name, each in compared.items() if each.is_drifted(policy.q, policy.psi_attention)
    ]
    database.execute(
        connection,
        "upsert_scanner_check",
        batch_id=batch_id,
        model_version=version,
        pages=len(forms),
        figures=json.dumps({name: vars(each) for name, each in compared.items()}),
        drifted=drifted,
    )
    return drifted


def _alert_on_scanner(session: Session) -> None:
    connection = session.connection
    version = registry.champion_version(session, registry.SCANS)
    checks = database.rows(
        connection, "select_scanner_checks", model_version=version, most=STABLE_BATCHES
    )
    if not checks or not any(each["drifted"] for each in checks):
        if not checks or len(checks) == STABLE_BATCHES:
            database.execute(connection, "resolve_scan_alert", subject=SCANNER)
        return
    last = next(each for each in checks if each["drifted"])
    parts = [
        f"{LABELS[name]} has the median {last['figures'][name]['now']:.3g} against "
        f"{last['figures'][name]['before']:.3g} (corrected PSI {last['figures'][name]['psi']:.2f})"
        for name in last["drifted"]
    ]
    database.execute(
        connection,
        "upsert_scan_alert",
        subject=SCANNER,
        batch_id=last["batch_id"],
        last_batch_id=last["batch_id"],
        batches=1,
        severity="warning",
        message=f"The {last['pages']} forms of {last['batch_id']} differ from those of the "
        f"training of {version}: {'; '.join(parts)}. Look at the scanner. "
        "If it stays so, learn from its pages: loan-scoring scans train --own 200",
        evidence=json.dumps({"figures": last["figures"], "pages": last["pages"]}),
    )


def _alert_on_pages(session: Session, now: datetime) -> None:
    """Alert on pages that still wait, or were refused, although their date was taken."""
    schedules = session.contract.schedules
    left: dict[str, list[str]] = {}
    for state in ("waiting", "refused"):
        for row in database.rows(session.connection, "select_waiting_scans", state=state):
            day = date.fromisoformat(row["batch_id"])
            is_over = run_time(schedules.ingest, schedules.timezone, day) <= now
            if is_over and (state == "waiting" or _is_there(session, row)):
                left.setdefault(row["batch_id"], []).append(state)
    if not left:
        database.execute(session.connection, "resolve_scan_alert", subject=PAGES)
        return
    parts = []
    for batch_id, states in sorted(left.items()):
        waiting, refused = states.count("waiting"), states.count("refused")
        words = [f"{counted(waiting, 'page')} waiting for a person"] * bool(waiting)
        words += [f"{counted(refused, 'page')} refused"] * bool(refused)
        parts.append(f"{batch_id}: {' and '.join(words)}")
    database.execute(
        session.connection,
        "upsert_scan_alert",
        subject=PAGES,
        batch_id=min(left),
        last_batch_id=max(left),
        batches=len(left),
        severity="warning",
        message=f"Scanned pages are left of dates that are over: {'; '.join(parts)}. Correct them "
        "at the desk under Scanned forms; scan refused ones again, or remove their files",
        evidence=json.dumps({"pages": {name: len(states) for name, states in left.items()}}),
    )


def _is_there(session: Session, row: database.Row) -> bool:
    folder = settings.landing_dir(session.contract.portfolio) / "scans"
    path: Path = folder / row["batch_id"] / row["file_name"]
    return path.exists()


def last_checks(session: Session, most: int) -> list[dict[str, Any]]:
    """Return the last comparisons with the classifier in use, the newest first."""
    with database.transaction(session.connection):
        version = registry.champion_version(session, registry.SCANS)
        return database.rows(
            session.connection, "select_scanner_checks", model_version=version, most=most
        )
