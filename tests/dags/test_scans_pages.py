"""Pages of scanned forms: what waits, what was refused, the classifier and its card."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loan_scoring.database.session import Session
from loan_scoring.scans.records import refuse_page, scans_folder
from scan_models import classifier

pytestmark = [pytest.mark.dags, pytest.mark.integration]
P = "/loan-scoring/p/loan_default"
NIGHT = "2026-01-05"
Token = Callable[[str], dict[str, str]]


def test_refused_pages_are_listed_until_their_file_is_removed(
    client: Any, token: Token, empty: Session, point: Callable[[Session], None],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    point(empty)
    folder = scans_folder("loan_default", NIGHT)
    folder.mkdir(parents=True)
    (folder / "a.pdf").write_bytes(b"x")
    row = {"batch_id": NIGHT, "file_name": "a.pdf", "sha256": "a" * 64, "page": 2, "form_code": "0"}
    refuse_page(empty, row, "a.pdf page 2: blurred <b>")
    shown = client.get(f"{P}/scans", headers=token("viewer")).text
    assert "Refused: scan again" in shown
    assert "a.pdf page 2: blurred &lt;b&gt;" in shown
    (folder / "a.pdf").unlink()
    assert "Refused" not in client.get(f"{P}/scans", headers=token("viewer")).text
    assert client.get(f"{P}/scans/1/picture", headers=token("viewer")).status_code in (
        404,
        409,
        410,
    )


def test_a_classifier_has_a_row_and_a_card_beside_the_pairs(
    client: Any, token: Token, night: Session
) -> None:
    version = classifier(night, 1)
    shown = client.get(f"{P}/models", headers=token("viewer")).text
    assert "Classifiers of scanned pages" in shown
    card = client.get(f"{P}/models/{version}/card", headers=token("viewer"))
    assert (card.status_code, "Baseline of monitoring" in card.text) == (200, True)
    # What is for pairs that score loans refuses it.
    assert client.get(f"{P}/models/{version}/report", headers=token("viewer")).status_code == 404
    assert client.get(f"{P}/models?left={version}", headers=token("viewer")).status_code == 404
