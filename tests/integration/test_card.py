"""A model's card is complete, is made from the registry's rows alone, and is escaped."""

import base64
import html
import json
import re
from xml.etree import ElementTree

import pytest
from markup import parsed
from markupsafe import escape

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.models import registry
from loan_scoring.models.card.content import read_card
from loan_scoring.models.card.render import escape_markdown, render_card_html, render_card_markdown

pytestmark = pytest.mark.integration

SECTIONS = [
    "Purpose", "Performance", "Confusion matrices", "Ranking, calibration and scores",
    "What the scores depend on", "Benchmark tree", "Over time", "Grades", "Cut-offs", "Promotions",
    "Candidates", "Personas", "Reasons", "Fairness by group", "Leaks", "Data",
    "Limits of use", "Artifacts and parameters",
]  # fmt: skip
EVIL = "<script>alert(1)</script> | $x$ & \"'"


def test_page_is_complete_and_needs_no_other_file(ready: Session) -> None:
    card = read_card(ready, "propensity-1")
    assert [section.title for section in card.sections] == SECTIONS
    page = render_card_html(card)
    found = parsed(page)
    assert found.tags.count("img") == 7 + len(ready.contract.protected)
    for link in found.links:
        kind, _, drawing = link.partition(",")
        assert kind == "data:image/svg+xml;base64"
        tree = ElementTree.fromstring(base64.b64decode(drawing))  # noqa: S314 - it is our own
        assert tree.tag.endswith("svg")
        assert len(list(tree.iter())) > 30
    assert "script" not in found.tags
    assert "http" not in re.sub(r"http-equiv", "", page.partition("<body>")[0])


def test_card_has_the_figures_of_the_registry(ready: Session) -> None:
    row = registry.model_row(ready, "propensity-1")
    text = render_card_markdown(read_card(ready, "personas-1"))  # the pair has one card
    assert text.startswith("# Model card: propensity-1\n")
    assert f"| AUC | {row['metrics']['auc']:.4f} |" in text
    assert row["fingerprint"] in text
    assert row["artifact_sha256"] in text
    for column in ready.contract.protected:
        assert f"{ready.contract.by_name[column].label}: the ratio" in text
    for person in registry.model_row(ready, "personas-1")["metrics"]["personas"]:
        assert f"| {escape_markdown(person['name'])} |" in text
    assert f"| {escape_markdown(row['metrics']['trial'])} (chosen) |" in text


def test_recorded_leaks_are_shown(ready: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    real = registry.model_row
    figures = {"auc": 0.99, "null_auc": None, "near_pure": [{"level": "null"}]}
    finding = {
        "column": "income_usd_per_month", "role": "feature", "verdict": "acknowledged",
        "everyone": figures, "judged": figures, "reasons": ["by name"], "is_decisive": False,
    }  # fmt: skip
    leaks = {"findings": [finding, finding | {"verdict": "clean"}]}
    monkeypatch.setattr(registry, "model_row", lambda s, v: {**real(s, v), "leaks": leaks})
    text = render_card_markdown(read_card(ready, "propensity-1"))
    assert "| Monthly income | feature | acknowledged | 0.9900 |  | null | by name |" in text
    assert "1 of 2 columns are clean." in text


def test_same_card_is_the_same_bytes(ready: Session) -> None:
    first, again = (render_card_html(read_card(ready, "propensity-1")) for _ in range(2))
    assert first == again


def test_text_from_data_is_escaped(ready: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    real = registry.model_row

    def evil(session: Session, version: str) -> database.Row:
        row = json.loads(json.dumps(real(session, version), default=str))
        row["created_at"] = real(session, version)["created_at"]
        if row["kind"] == "personas":
            row["metrics"]["personas"][0]["name"] = EVIL
        else:
            row["training_data"]["batches"][0]["source"] = EVIL
            row["evaluation"]["fairness"][0]["groups"][0]["group"] = EVIL
        return row

    monkeypatch.setattr(registry, "model_row", evil)
    card = read_card(ready, "propensity-1")
    page = render_card_html(card)
    assert "script" not in parsed(page).tags
    assert page.count(str(escape(EVIL))) == 3
    assert html.unescape(page).count(EVIL) == 3
    before = 0
    for line in render_card_markdown(card).splitlines():
        assert "<" not in re.sub(r"\\.", "", line)
        cells = len(re.findall(r"(?<!\\)\|", line))
        assert not (before and cells) or cells == before  # a row is as wide as its table
        before = cells


def test_model_without_evaluation_has_a_card_that_says_so(
    ready: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = registry.model_row
    monkeypatch.setattr(registry, "model_row", lambda s, v: {**real(s, v), "evaluation": None})
    text = render_card_markdown(read_card(ready, "propensity-1"))
    assert "registered without an evaluation" in text


def test_unknown_version_is_refused(ready: Session) -> None:
    with pytest.raises(StateError, match="no model propensity-7 in loan_default"):
        read_card(ready, "propensity-7")
