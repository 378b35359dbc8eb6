"""Scanned pages are read, refused or left to a person, with the packages of the extra `scans`."""

import io
import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pictures
from PIL.PngImagePlugin import PngInfo

from loan_scoring import database, settings
from loan_scoring.cli.main import main
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.landing import find_applications_file
from loan_scoring.scans.batch import read_scans
from loan_scoring.scans.corrections import correct_page, crops_of_page, read_page
from loan_scoring.scans.fields import judge_page
from loan_scoring.scans.form import draw_form
from loan_scoring.scans.layout import Layout, form_layout
from loan_scoring.scans.measure import measure_pages
from loan_scoring.scans.pages import MOST_PAGES, page_images
from loan_scoring.scans.recognise import read_boxes
from loan_scoring.scans.records import scans_folder
from loan_scoring.scans.simulate import as_jpeg, as_png, render, simulate_pages
from loan_scoring.scans.straighten import straighten
from scan_texts import TEXTS

pytestmark = [
    pytest.mark.scans,
    pytest.mark.integration,
    pytest.mark.skipif(
        find_spec("rapidocr_onnxruntime") is None,
        reason="`make test-scans` installs the packages of the extra",
    ),
]

BY, NIGHT = "cli:tests", "2026-01-05"
PAGES = int(os.environ.get("LOAN_SCORING_SCANS", "2"))
"""Simulated pages of each quality; LOAN_SCORING_SCANS=70 asks for 2,000 fields."""


@pytest.fixture(scope="module")
def layout(loan_default: Contract) -> Layout:
    return form_layout(loan_default)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    made = scans_folder("loan_default", NIGHT)
    made.mkdir(parents=True)
    return made


def page(layout: Layout, **texts: str) -> Any:
    return render(layout, TEXTS | texts, "Courier")


def column(session: Session, query: str) -> list[Any]:
    return [row[0] for row in database.select_read_only(session.connection, query)[1]]


def test_a_clean_page_becomes_the_application_that_was_filled_in(
    empty: Session, layout: Layout, folder: Path
) -> None:
    (folder / "a.png").write_bytes(as_png(page(layout)))
    done = read_scans(empty, NIGHT, BY)
    fields = column(empty, "select fields from scans")[0]
    assert (done.passed, done.waiting, done.refused) == (1, 0, []), fields
    assert {name: each["text"] for name, each in fields.items()} == TEXTS
    landed = ingest_batch(empty, NIGHT, find_applications_file(empty, NIGHT), BY)
    assert (landed.accepted, landed.quarantined) == (1, 0)
    # Again: nothing is read twice.
    assert read_scans(empty, NIGHT, BY).passed == 1
    assert column(empty, "select count(*) from scans") == [1]


def test_a_doubtful_field_waits_with_its_crop_and_lands_corrected(
    empty: Session, layout: Layout, folder: Path
) -> None:
    (folder / "a.png").write_bytes(as_png(page(layout, credit_score="69B", loan_id="7")))
    done = read_scans(empty, NIGHT, BY)
    assert (done.passed, done.waiting, done.landed) == (0, 1, None)
    (scan,) = column(empty, "select scan_id from scans")
    found = read_page(empty, scan)
    assert "credit_score" in found["doubtful"]
    crops = crops_of_page(empty, found, found["doubtful"])
    assert crops.keys() == {*found["doubtful"]}
    shown = np.asarray(Pictures.open(io.BytesIO(crops["credit_score"])))
    assert (shown < 100).any()
    given = {name: TEXTS[name] for name in found["doubtful"]} | {"credit_score": "698"}
    given |= {"loan_id": "7"} if "loan_id" in given else {}
    seen = {name: found["fields"][name]["text"] for name in given}
    assert correct_page(empty, scan, given, seen, "airflow:ann")["state"] == "corrected"
    assert read_scans(empty, NIGHT, BY).rows == 1


@pytest.mark.parametrize("font", ["Helvetica", "Courier"])
def test_a_line_of_a_fax_through_a_box_hides_no_value(
    loan_default: Contract, layout: Layout, font: str
) -> None:
    """Signs and line are one spot then. Once it was taken for a line through an empty box."""
    image = render(layout, TEXTS, font)
    box = next(each for each in layout.boxes if each.column.name == "loan_type")
    image[round((box.top + box.height / 2) * 200 / 25.4)] = 0
    read = judge_page(
        loan_default, layout, read_boxes(straighten(image, layout, "x").image, layout.boxes)
    )
    for name, each in read.fields.items():
        assert each.text == TEXTS[name] or each.doubts, name
    assert read.fields["loan_type"].doubts


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_page_is_found_however_it_was_laid(layout: Layout, turn: int) -> None:
    image = np.rot90(page(layout), turn)
    even = straighten(np.ascontiguousarray(image), layout, "x").image
    assert np.mean(np.abs(even.astype(int) - page(layout))) < 4


@pytest.mark.parametrize("quality", ["good", "fair"])
def test_no_wrong_value_gets_in_unseen(
    loan_default: Contract, layout: Layout, quality: str
) -> None:
    rows = [TEXTS | {"loan_id": str(each)} for each in range(1001, 1001 + PAGES)]
    pages = simulate_pages(layout, rows, quality, seed=5)
    counts, unseen = measure_pages(loan_default, layout, quality, pages)
    assert counts.pages == PAGES
    assert unseen == []
    assert counts.refused == 0
    assert counts.right >= 0.97 * counts.fields


def png_of(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Pictures.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


def pdf(pages: int = 1, password: str | None = None, layout: Layout | None = None) -> bytes:
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    encrypt = StandardEncryption(password, ownerPassword="owner") if password else None
    canvas = Canvas(file, encrypt=encrypt)
    for _ in range(pages):
        canvas.drawString(100, 100, "page")
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def cat() -> bytes:
    """Return a picture without a form: soft round shapes, as a photo has them."""
    rows, columns = np.mgrid[0:900, 0:700]
    face = 120 + 60 * np.sin(rows / 90) * np.cos(columns / 70)
    for x, y in ((250, 300), (450, 300)):
        face[(rows - y) ** 2 + (columns - x) ** 2 < 40**2] = 10
    return as_jpeg(face.astype(np.uint8))


def compressed_text() -> bytes:
    """Return a PNG whose comment unpacks to far more than the file has."""
    info, file = PngInfo(), io.BytesIO()
    info.add_text("Comment", "x" * 30_000_000, zip=True)
    Pictures.new("L", (10, 10)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


HOSTILE = {
    "corrupt.pdf": (lambda: b"%PDF-1.7\n" + b"\0" * 900, "the PDF is corrupt"),
    "long.pdf": (lambda: pdf(300), f"300 pages, and a file of scans has at most {MOST_PAGES}"),
    "locked.pdf": (lambda: pdf(1, "secret"), "the PDF is encrypted"),
    "bomb.png": (lambda: png_of(20_000, 20_000), "pixel"),
    "wide.png": (lambda: png_of(9_000, 9_000), "9000 x 9000 pixels"),
    "cat.jpg": (cat, "the four corner marks of the form were not found"),
    "half.jpg": (lambda: cat()[:3000], "corrupt"),
    "text.png": (lambda: b"no picture", "neither a PDF nor a whole PNG"),
    "comment.png": (compressed_text, "neither a PDF nor a whole PNG"),
    "empty.tif": (lambda: b"", "the file is empty"),
}


def test_hostile_files_are_one_line_each_and_hinder_no_other(
    empty: Session, layout: Layout, folder: Path
) -> None:
    for name, (content, _) in HOSTILE.items():
        (folder / name).write_bytes(content())
    (folder / "z.png").write_bytes(as_png(page(layout)))
    done = read_scans(empty, NIGHT, BY)
    assert done.passed == 1
    assert len(done.refused) == len(HOSTILE)
    for name, (_, message) in HOSTILE.items():
        (line,) = [each for each in done.refused if f"{name}" in each]
        assert message in line
        assert "\n" not in line
    again = read_scans(empty, NIGHT, BY)
    assert len(again.refused) == len(HOSTILE)
    assert column(empty, "select count(*) from scans") == [len(HOSTILE) + 1]


def test_a_link_out_of_the_folder_is_not_read(
    empty: Session, layout: Layout, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "a.png"
    outside.write_bytes(as_png(page(layout)))
    (folder / "a.png").symlink_to(outside)
    (line,) = read_scans(empty, NIGHT, BY).refused
    assert "a link out of the landing folder" in line


def test_poor_pages_are_refused_with_what_to_do(layout: Layout) -> None:
    import cv2

    whole = page(layout)
    coarse = cv2.resize(whole, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(whole, (0, 0), 6)
    pale = (255 - (255 - whole.astype(float)) * 0.2).astype(np.uint8)
    for image, message in ((coarse, "200 dpi"), (blurred, "blurred|marks"), (pale, "too pale")):
        with pytest.raises(SourceError, match=message):
            straighten(image, layout, "x")


def test_a_form_of_another_contract_is_refused(loan_default: Contract, layout: Layout) -> None:
    other = Contract(**(loan_default.model_dump() | {"scan_form": {"check_digits": ["loan_id"]}}))
    with pytest.raises(SourceError, match="not the present form"):
        straighten(render(form_layout(other), TEXTS, "Courier"), layout, "x")


def test_the_blank_form_can_be_filled_in_on_a_screen(layout: Layout, tmp_path: Path) -> None:
    path = tmp_path / "form.pdf"
    path.write_bytes(draw_form(layout))
    assert draw_form(layout) == path.read_bytes()
    (image,) = page_images(path, path.read_bytes())
    assert straighten(image, layout, "x").quality.dpi == pytest.approx(200, abs=2)
    assert path.read_bytes().count(b"/FT /Tx") == len(layout.boxes)


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    form, out = tmp_path / "form.pdf", tmp_path / "pages"
    assert main(["scans", "form", "--out", str(form)]) == 0
    assert form.read_bytes().startswith(b"%PDF-")
    assert main(["scans", "simulate", "--n", "1", "--out", str(out), "--json"]) == 0
    assert len(list(out.glob("*.jpg"))) == 1
    filled = json.loads((tmp_path / "pages-filled.json").read_text())
    assert len(next(iter(filled.values()))) == 29
    assert main(["scans", "form", "--portfolio", "credit_data"]) == 1
    assert "has no form: add `scan_form: {}`" in capsys.readouterr().err
    assert settings.landing_dir("loan_default").name == "loan_default"
