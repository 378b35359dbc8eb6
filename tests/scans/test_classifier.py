"""The classifier of pages is trained by command, names what is no form, and is never in its way."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from loan_scoring.cli.main import main
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.lab.scan_rows import draw_rows
from loan_scoring.models import registry
from loan_scoring.scans.batch import read_scans
from loan_scoring.scans.classifier import KINDS, load_classifier
from loan_scoring.scans.layout import Layout, form_layout
from loan_scoring.scans.page_features import FEATURES, page_features
from loan_scoring.scans.page_kinds import draw_identity_document, draw_pay_slip
from loan_scoring.scans.promotion import promote_by_gates, promote_by_hand
from loan_scoring.scans.records import scans_folder
from loan_scoring.scans.simulate import as_jpeg, as_png, render
from loan_scoring.scans.training import measured, train_classifier
from scan_texts import TEXTS

pytestmark = [pytest.mark.scans, pytest.mark.integration]
cv2 = pytest.importorskip("cv2", reason="`make test-scans` installs the packages of the extra")

BY, NIGHT = "cli:tests", "2026-01-05"
PAGES = 24
"""Pages of each kind: few, because each takes about a second."""


@pytest.fixture(scope="module")
def layout(loan_default: Contract) -> Layout:
    return form_layout(loan_default)


@pytest.fixture
def trained(empty: Session, layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The version of a classifier in use."""
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    names = [box.column.name for box in layout.boxes]
    rows, _ = draw_rows(empty.contract, names, PAGES, 1)
    version = train_classifier(empty, rows, 1, 0, BY)
    if promote_by_gates(empty, version) == "refused":
        assert promote_by_hand(empty, version, BY, "a small sample")[0] == "promoted"
    return version


def cat() -> np.ndarray:
    """Return a picture of a cat, drawn: a head with ears, eyes, whiskers, fur, a room behind it."""
    draw = np.random.default_rng(9)
    image = np.tile(np.linspace(90, 210, 900, dtype=np.float32), (1200, 1))
    cv2.ellipse(image, (450, 1000), (330, 420), 0, 0, 360, 120, -1)
    cv2.circle(image, (450, 560), 250, 140, -1)
    for side in (-1, 1):
        ear = np.array([(450 + side * 230, 480), (450 + side * 190, 190), (450 + side * 60, 340)])
        cv2.fillPoly(image, [ear.astype(np.int32)], 115)
        cv2.ellipse(image, (450 + side * 100, 520), (48, 34), 0, 0, 360, 225, -1)
        cv2.ellipse(image, (450 + side * 100, 520), (12, 32), 0, 0, 360, 15, -1)
        for whisker in range(3):
            end = (450 + side * 400, 620 + 45 * whisker)
            cv2.line(image, (450 + side * 60, 650), end, 240, 2)
    cv2.fillPoly(image, [np.array([(420, 620), (480, 620), (450, 660)], np.int32)], 60)
    fur = cv2.GaussianBlur(draw.normal(0, 90, image.shape).astype(np.float32), (0, 0), 2)
    return np.clip(cv2.GaussianBlur(image, (0, 0), 2) + fur, 0, 255).astype(np.uint8)


def test_what_is_no_form_is_refused_by_its_name_and_a_form_is_read(
    empty: Session, layout: Layout, trained: str
) -> None:
    folder = scans_folder("loan_default", NIGHT)
    folder.mkdir(parents=True)
    draw = np.random.default_rng(77)
    pages = {
        "cat.jpg": cat(), "slip.jpg": draw_pay_slip(draw), "card.jpg": draw_identity_document(draw),
        "form.jpg": render(layout, TEXTS, "Courier"),
        "cut.jpg": render(layout, TEXTS, "Courier")[:-250],
    }  # fmt: skip
    for name, page in pages.items():
        (folder / name).write_bytes(as_jpeg(page))
    done = read_scans(empty, NIGHT, BY)
    assert (done.passed, len(done.refused)) == (1, 4), done.refused
    for name in ("cat.jpg", "slip.jpg", "card.jpg"):
        (line,) = [each for each in done.refused if each.startswith(name)]
        assert "this is no form" in line
    # A form without a mark is still a form, which the clerk can scan again.
    (cut_line,) = [each for each in done.refused if each.startswith("cut.jpg")]
    assert "scan the whole form flat" in cut_line
    row = registry.model_row(empty, trained)
    assert row["features"] == list(FEATURES)
    confusion = row["metrics"]["confusion"]
    assert confusion["form"]["form"] == sum(confusion["form"].values()) == PAGES // 3
    assert row["metrics"]["accuracy"] > 0.75  # of so few pages; by chance it is 0.25


def test_the_same_training_is_the_same_version_and_own_forms_make_the_baseline(
    empty: Session, layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    names = [box.column.name for box in layout.boxes]
    rows, _ = draw_rows(empty.contract, names, 3, 1)
    first = train_classifier(empty, rows, 1, 0, BY)
    assert train_classifier(empty, rows, 1, 0, BY) == first
    folder = scans_folder("loan_default", NIGHT)
    folder.mkdir(parents=True)
    for place in range(6):
        page = render(layout, TEXTS | {"loan_id": str(7000 + place)}, "Courier")
        (folder / f"{place}.png").write_bytes(as_png(page))
    assert read_scans(empty, NIGHT, BY).refused == []
    row = registry.model_row(empty, train_classifier(empty, rows, 1, 50, BY))
    assert (row["baseline"]["forms"], row["training_data"]["own_forms"]) == ("own", 6)
    assert row["baseline"]["values"]["dpi"][0] == pytest.approx(200, abs=2)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_figures_are_the_same_on_any_side(layout: Layout, turn: int) -> None:
    page = render(layout, TEXTS, "Courier")
    turned = page_features(np.ascontiguousarray(np.rot90(page, turn)))
    assert turned == pytest.approx(page_features(page), rel=0.05, abs=0.02)


def test_metrics_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(2)
    classes = np.array(sorted(KINDS))
    kinds = draw.choice(classes, 400)
    chances = draw.dirichlet(np.ones(4), 400) + 0.8 * (kinds[:, None] == classes)
    chances /= chances.sum(axis=1, keepdims=True)
    found: dict[str, Any] = measured(kinds, chances, classes)
    named = classes[chances.argmax(axis=1)]
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(kinds, named))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(kinds, chances, labels=classes))
    is_form = kinds == "form"
    score = chances[:, list(classes).index("form")]
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(is_form, score))
    matrix = metrics.confusion_matrix(kinds, named, labels=KINDS)
    rows = [[found["confusion"][kind][other] for other in KINDS] for kind in KINDS]
    assert rows == matrix.tolist()


def test_a_portfolio_without_a_classifier_reads_as_before(empty: Session) -> None:
    assert load_classifier(empty) is None


def test_train_says_what_became_of_it(
    empty: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    info = empty.connection.info
    url = f"postgresql://{info.user}:{info.password}@{info.host}:{info.port}/{info.dbname}"
    monkeypatch.setenv("LOAN_SCORING_DATABASE_URL", url)
    assert main(["scans", "train", "--n", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["version"], told["verdict"] in ("promoted", "refused")) == ("scans-1", True)
    assert main(["models", "card", told["version"]]) == 0
    assert main(["models", "show", told["version"]]) == 0
    assert "12 invented pages and 0 own forms" in capsys.readouterr().out
    assert main(["models", "report", told["version"]]) == 1
    assert "it scores no loan" in capsys.readouterr().err
    (card,) = (tmp_path / "artifacts" / "loan_default").glob("scans-1.html")
    assert "Model card: scans-1" in card.read_text()
