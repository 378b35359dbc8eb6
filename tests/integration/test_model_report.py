"""The report of a model is filled from records, and says what is open and who fills it."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from markup import parsed

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.withdrawal import withdraw_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models import registry
from loan_scoring.models.card.blocks import Card, Heading, Section
from loan_scoring.models.card.content import read_card
from loan_scoring.models.card.render import render_card_html, render_card_markdown
from loan_scoring.models.promotion.decide import promote_by_hand, rollback_champions
from loan_scoring.models.promotion.signatures import sign_model
from loan_scoring.models.report.chapters import CHAPTERS, place
from loan_scoring.models.report.checklist import checklist
from loan_scoring.models.report.content import read_report
from loan_scoring.models.report.facts import read_facts
from loan_scoring.models.report.sbom import bill_of_materials

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
ANNEX = [
    *(f"1({letter})" for letter in "abcdefgh"), *(f"2({letter})" for letter in "abcdefgh"),
    *"3456789",
]  # fmt: skip


def states(session: Session) -> dict[str, str | None]:
    return {item.title: item.found for item in checklist(read_facts(session, "propensity-1"))}


def section(card: Card, title: str) -> Section:
    return next(each for each in card.sections if each.title == title)


def with_contract(session: Session, **parts: Any) -> Session:
    raw = session.contract.model_dump() | parts
    return Session(Contract.model_validate(raw), session.connection)


def test_each_section_of_the_card_stands_once(ready: Session) -> None:
    report = read_report(ready, "personas-1")
    assert [each.title for each in report.sections] == [
        "Checklist", *map(place, CHAPTERS), "Open items",
    ]  # fmt: skip
    headings = [
        block.text
        for each in report.sections
        for block in each.blocks
        if isinstance(block, Heading)
    ]
    for each in read_card(ready, "propensity-1").sections:
        assert headings.count(each.title) == 1, each.title


def test_section_that_no_chapter_knows_stands_under_validation(
    ready: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = read_card(ready, "propensity-1")
    added = Card(card.title, card.lead, [*card.sections, Section("Out-of-time", [])])
    monkeypatch.setattr("loan_scoring.models.report.facts.read_card", lambda *_: added)
    blocks = section(read_report(ready, "propensity-1"), place("Validation")).blocks
    assert Heading("Out-of-time") in blocks


def test_record_without_content_fills_no_item(
    ready: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = registry.model_row
    monkeypatch.setattr("loan_scoring.models.report.facts.read_card", lambda *_: Card("", [], []))
    for value, found in (
        (None, None), ({"reason": "no loan has a date"}, None),
        ({"loans": 7}, "registry: out_of_time"),
    ):  # fmt: skip
        evaluation = real(ready, "propensity-1")["evaluation"] | {"out_of_time": value}
        monkeypatch.setattr(
            registry, "model_row", lambda s, v, e=evaluation: real(s, v) | {"evaluation": e}
        )
        assert states(ready)["Out-of-time validation"] == found


def test_figures_are_those_of_the_records(scored: Session) -> None:
    row = registry.model_row(scored, "propensity-1")
    [run] = database.rows(scored.connection, "select_runs_of_model", model_version="propensity-1")
    text = render_card_markdown(read_report(scored, "propensity-1", annex_iv=True))
    assert f"| AUC on the hold-out | {row['metrics']['auc']:.4f} (" in text
    assert f"| {NIGHT} | {run['scored']:,} | {run['referred']:,} |" in text
    assert row["artifact_sha256"] in text
    [[sha256]] = database.select_read_only(
        scored.connection, "select sha256 from batches where batch_id = 'history'"
    )[1]
    assert f"| history | 1 | {sha256} |" in text
    assert "| training started by | cli:trainer |" in text


def test_checklist_follows_the_records(scored: Session) -> None:
    before = states(scored)
    assert before["Peer review"] is None
    assert before["Batches scored"] == "1 batch"
    assert before["Business purpose"] == "contract, governance.purpose"
    sign_model(scored, "propensity-1", "review", "airflow:ann", "read")
    after = states(scored)
    assert after["Peer review"] == "airflow:ann"
    assert {name for name in after if after[name] != before[name]} == {"Peer review"}
    silent = with_contract(scored, governance=None)
    gone = {name for name, found in states(silent).items() if found is None}
    assert {"Business purpose", "Intended use and scope", "Risk register", "Contact"} <= gone
    text = render_card_markdown(read_report(silent, "propensity-1"))
    assert "| Business purpose | credit-risk: contract, governance.purpose |" in text


def test_every_item_of_annex_iv_is_filled_or_a_gap(ready: Session) -> None:
    report = read_report(ready, "propensity-1", annex_iv=True)
    table = section(report, "Annex IV: overview").blocks[1]
    assert [row[0] for row in table.rows] == ANNEX
    assert {row[2] for row in table.rows} == {"filled", "gap"}
    for row in table.rows:
        assert row[3].startswith("Open: ") == (row[2] == "gap"), row
    gaps = {row[0] for row in table.rows if row[2] == "gap"}
    assert {"1(a)", "2(g)", "8"} <= gaps
    sign_model(ready, "propensity-1", "review", "airflow:ann", "read")
    sign_model(ready, "propensity-1", "acceptance", "airflow:bob", "fine")
    said = ready.contract.governance.model_dump() | {"declaration": "on file, no. 7"}
    report = read_report(with_contract(ready, governance=said), "propensity-1", annex_iv=True)
    table = section(report, "Annex IV: overview").blocks[1]
    assert gaps - {row[0] for row in table.rows if row[2] == "gap"} == {"2(g)", "8"}


def test_incidents_and_changes_are_listed(ready: Session, challenge: Any, drops: Replay) -> None:
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])
    other = challenge("other", max_bins=200)
    promote_by_hand(ready, other["propensity"], "cli:ann", "a drill")
    rollback_champions(ready, "cli:bob", comment="approves too few")
    withdraw_batch(ready, NIGHT, "cli:eve", "misdated")
    report = read_report(ready, "propensity-1", annex_iv=True)
    log = section(report, "Incident log").blocks[0].rows
    assert [(row[1], row[3], row[5]) for row in log][-2:] == [
        ("promotion.rollback", "cli:bob", "approves too few"),
        ("batch.withdraw", "cli:eve", "misdated"),
    ]
    changes = section(report, "Annex IV, 6: Changes over the life cycle").blocks[0].rows
    found = [(row[1], row[2], row[3]) for row in changes]
    assert ("fitted", "propensity-1", "cli:trainer") in found
    assert ("promoted (rollback)", "propensity-1", "cli:bob") in found


def test_page_needs_no_other_file_and_escapes_texts(ready: Session) -> None:
    evil = {"purpose": "<script>alert(1)</script>"}
    report = read_report(with_contract(ready, governance=evil), "propensity-1", annex_iv=True)
    page = render_card_html(report)
    assert "script" not in parsed(page).tags
    assert "&lt;script&gt;" in page


def test_bill_of_materials_is_cyclonedx(tmp_path: Path) -> None:
    bill = json.loads(json.dumps(bill_of_materials()))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    references = [each["bom-ref"] for each in bill["components"]]
    assert len(references) == len(set(references))
    assert f"pkg:pypi/numpy@{version('numpy')}" in references
    root, *others = bill["dependencies"]
    assert root["ref"] == bill["metadata"]["component"]["bom-ref"]
    assert {each["ref"] for each in others} == set(references)
    assert {ref for each in bill["dependencies"] for ref in each["dependsOn"]} <= set(references)
    assert f"pkg:pypi/scikit-learn@{version('scikit-learn')}" in root["dependsOn"]
