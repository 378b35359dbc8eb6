"""A classifier of scans: gates, verdicts, and the alert when the scanner changes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.models import registry
from loan_scoring.models.card.render import render_card_markdown
from loan_scoring.models.registry import SCANS
from loan_scoring.monitoring.scans import FEWEST, compare_figures, last_checks, watch_scans
from loan_scoring.scans import promotion
from loan_scoring.scans.classifier import Classified, load_classifier
from loan_scoring.scans.fields import ReadPage
from loan_scoring.scans.records import record_page
from scan_models import FIGURES, classifier, quality

pytestmark = pytest.mark.integration
BY = "cli:tests"


@pytest.fixture
def here(empty: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """An empty portfolio with a data folder of its own."""
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    return empty


def scan(session: Session, night: str, forms: int, version: str, shift: float = 0.0) -> None:
    """Record read forms of a date whose figures differ from the baseline by `shift`."""
    draw = np.random.default_rng(int(night[-2:]))
    for place in range(forms):
        row = {"batch_id": night, "file_name": f"{place}.png", "sha256": "a" * 64, "page": 1,
               "form_code": "0"}  # fmt: skip
        score = float(draw.beta(20, 1))
        seen = Classified("form", score, score, version)
        record_page(session, row, ReadPage({}, None), quality(draw, shift), seen)


def alerts(session: Session) -> list[str]:
    query = (
        "select state from alerts where kind = 'scans' and subject = 'scanner' order by alert_id"
    )
    return [row[0] for row in database.select_read_only(session.connection, query)[1]]


def test_a_classifier_comes_into_use_by_its_gates_and_scores_no_loan(here: Session) -> None:
    assert load_classifier(here) is None
    first, worse = classifier(here, 1), classifier(here, 2, right=0.5)
    assert promotion.promote_by_gates(here, first) == "promoted"
    assert promotion.promote_by_gates(here, first) == "unchanged"
    assert promotion.promote_by_gates(here, worse) == "refused"
    with pytest.raises(StateError, match=r"fails .*not_worse.*--comment"):
        promotion.promote_by_hand(here, worse, BY, None)
    verdict, evidence = promotion.promote_by_hand(here, worse, BY, "a trial")
    assert (verdict, "not_worse" in evidence["overruled"]) == ("promoted", True)
    assert promotion.rollback_classifier(here, BY, None) == {SCANS: first}
    assert load_classifier(here).version == first  # type: ignore[union-attr]
    # The pair by which loans are scored is another matter, and no command of pairs takes it.
    rows = database.select_read_only(here.connection, "select count(*) from champions")[1]
    assert rows == [[0]]
    with pytest.raises(StateError, match="it scores no loan"):
        registry.fitted_pair(here, first)
    card = render_card_markdown(promotion.read_card(here, first))
    assert "600 invented pages" in card
    faults = database.rows(here.connection, "select_record_faults")
    assert faults == []


def test_figures_are_those_of_scipy() -> None:
    draw = np.random.default_rng(3)
    before = {name: draw.normal(size=150) for name in ("form_score", *FIGURES)}
    now = {name: draw.normal(0.4, 1, 40) for name in ("form_score", *FIGURES)}
    compared = compare_figures(before, now)  # type: ignore[arg-type]
    raw = [stats.ks_2samp(before[name], now[name], method="asymp") for name in compared]
    adjusted = stats.false_discovery_control([each.pvalue for each in raw])
    for (name, found), test, p_value in zip(compared.items(), raw, adjusted, strict=True):
        assert found.ks == pytest.approx(test.statistic)
        assert found.p_value == pytest.approx(p_value)
        assert found.now == np.median(now[name])
        edges = np.quantile(before[name], np.arange(1, 10) / 10)
        counts = [
            np.histogram(each[name], [-np.inf, *edges, np.inf])[0] + 0.5 for each in (before, now)
        ]
        e, a = (each / each.sum() for each in counts)
        chance = 9 * (1 / 150 + 1 / 40)
        assert found.psi == pytest.approx(
            max(stats.entropy(a, e) + stats.entropy(e, a) - chance, 0)
        )


def test_mcnemar_is_that_of_the_binomial_test() -> None:
    draw = np.random.default_rng(4)
    own, theirs = draw.random(300) < 0.8, draw.random(300) < 0.9
    gained, lost, p_value = promotion.mcnemar(own, theirs)
    tail = stats.binom.cdf(min(gained, lost), gained + lost, 0.5)
    assert p_value == pytest.approx(min(2 * tail, 1))


def test_a_changed_scanner_is_one_alert_that_two_stable_dates_resolve(here: Session) -> None:
    version = classifier(here, 1)
    promotion.promote_by_gates(here, version)
    scan(here, "2026-01-05", 60, version)
    assert watch_scans(here, "2026-01-05") == []
    scan(here, "2026-01-06", FEWEST - 1, version, shift=3)
    assert watch_scans(here, "2026-01-06") == []  # too few to compare
    scan(here, "2026-01-07", 60, version, shift=3)
    assert watch_scans(here, "2026-01-07") == [*FIGURES]
    assert alerts(here) == ["open"]
    for day in (8, 9):
        scan(here, f"2026-01-0{day}", 60, version)
        assert watch_scans(here, f"2026-01-0{day}") == []
        assert alerts(here) == ["open" if day == 8 else "resolved"]
    checks = last_checks(here, 9)
    assert [each["batch_id"][-2:] for each in checks] == ["09", "08", "07", "05"]


def test_stable_scans_raise_no_alert_on_many_dates() -> None:
    """With q = 0.001 and the PSI's floor, hundreds of dates without a change stay silent."""
    draw = np.random.default_rng(5)
    names: Mapping[str, Any] = dict.fromkeys(("form_score", *FIGURES))
    before = {name: draw.normal(size=60).tolist() for name in names}
    alarms = 0
    for _ in range(300):
        now = {name: draw.normal(size=40).tolist() for name in names}
        found = compare_figures(before, now).values()
        alarms += any(each.is_drifted(0.001, 0.1) for each in found)
    assert alarms <= 3
