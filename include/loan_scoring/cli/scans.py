"""Define and run `scans`: read scanned forms, draw the form, simulate and measure."""

import argparse
from pathlib import Path
from typing import Any

from loan_scoring.cli.arguments import batch_id, count
from loan_scoring.cli.classifiers import train_classifier
from loan_scoring.cli.common import account_name, add_command, run_measured, session_of
from loan_scoring.errors import LoanScoringError

ACTIONS = ("read", "waiting", "correct", "form", "train", "simulate", "measure")


def add_scans_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command `scans` to the command line."""
    scans = add_command(commands, "scans", _scans_command, "read scanned application forms", common)
    scans.add_argument(
        "action",
        nargs="?",
        choices=ACTIONS,
        default="read",
        metavar="ACTION",
        help=f"{', '.join(ACTIONS)}; default: %(default)s",
    )
    scans.add_argument("--batch", metavar="YYYY-MM-DD", type=batch_id, help="with read: the date")
    scans.add_argument("--out", type=Path, metavar="PATH", help="form: file; simulate: folder")
    scans.add_argument(
        "--n",
        type=count,
        default=35,
        metavar="N",
        help="simulate, measure: pages; train: pages of each kind; default: %(default)s",
    )
    scans.add_argument(
        "--own",
        type=count,
        default=0,
        metavar="N",
        help="train: learn from the N newest own forms too; default: none",
    )
    scans.add_argument(
        "--quality",
        choices=("good", "fair", "poor"),
        action="append",
        help="simulate, measure; may be repeated; default: good",
    )
    scans.add_argument("--seed", type=count, default=1, metavar="N", help="default: %(default)s")
    scans.add_argument("--scan", type=count, metavar="ID", help="correct: the page")
    scans.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="COLUMN=TEXT",
        help="correct: a field; may be repeated; the text that was read confirms it",
    )
    scans.set_defaults(refuse=scans.error)


def _scans_command(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "read": _read,
        "waiting": _waiting,
        "correct": _correct,
        "form": _form,
        "train": train_classifier,
        "simulate": _simulate,
        "measure": _measure,
    }[options.action](options)


def _read(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.contract.business_dates import HISTORY
    from loan_scoring.monitoring.scans import watch_scans
    from loan_scoring.scans.batch import read_scans, summary

    if options.batch in (None, HISTORY):
        options.refuse("--batch is missing: give the date of the scans")
    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        done = read_scans(session, options.batch, account_name())
        watch_scans(session, options.batch)
        result.update(vars(done), text=summary(done))
        return done.passed + done.waiting + done.corrected

    run_measured(options, "scans.read", work)
    return result


def _waiting(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.scans.corrections import refused_pages, waiting_pages

    with session_of(options) as session:
        pages, refused = waiting_pages(session), refused_pages(session)
    lines = [
        f"scan {each['scan_id']}: {each['batch_id']} {each['file_name']} page {each['page']}: "
        f"{', '.join(each['doubtful'])}"
        for each in pages
    ] or ["no page waits for a person"]
    lines += [f"refused, {each['batch_id']}: {each['reason']}" for each in refused]
    return {"pages": pages, "refused": refused, "text": "\n".join(lines)}


def _correct(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.scans.corrections import correct_page, read_page

    if options.scan is None or not options.set:
        options.refuse("correct needs --scan ID and --set COLUMN=TEXT")
    texts = {}
    for each in options.set:
        name, sign, text = each.partition("=")
        if not sign:
            options.refuse(f"--set {each}: write COLUMN=TEXT")
        texts[name] = text
    with session_of(options) as session:
        page = read_page(session, options.scan)
        seen = {name: page["fields"].get(name, {}).get("text", "") for name in texts}
        done = correct_page(session, options.scan, texts, seen, account_name())
    left = ", ".join(done["doubtful"])
    text = (
        f"scan {options.scan}: recorded; still open: {left}"
        if left
        else f"scan {options.scan}: complete; it lands with the next: loan-scoring scans "
        f"--portfolio {options.portfolio} --batch {page['batch_id']}"
    )
    return {**done, "text": text}


def _form(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import contract
    from loan_scoring.scans.form import draw_form
    from loan_scoring.scans.layout import form_layout

    layout = form_layout(contract.load(options.portfolio))
    path = options.out or Path(f"{options.portfolio}-form.pdf")
    _write(path, draw_form(layout))
    return {"path": str(path), "code": layout.code, "text": f"{path}: form {layout.code}"}


def _pages(options: argparse.Namespace, quality: str) -> tuple[Any, Any, Any, bool]:
    from loan_scoring import contract
    from loan_scoring.lab.scan_rows import draw_rows
    from loan_scoring.scans.layout import form_layout
    from loan_scoring.scans.simulate import simulate_pages

    loaded = contract.load(options.portfolio)
    layout = form_layout(loaded)
    names = [box.column.name for box in layout.boxes]
    rows, is_real = draw_rows(loaded, names, options.n, options.seed)
    return loaded, layout, simulate_pages(layout, rows, quality, options.seed), is_real


def _simulate(options: argparse.Namespace) -> dict[str, Any]:
    import json

    from loan_scoring.scans.simulate import as_jpeg

    if options.out is None:
        options.refuse("simulate needs --out FOLDER")
    written: dict[str, dict[str, str]] = {}
    for quality in options.quality or ["good"]:
        for page in _pages(options, quality)[2]:
            _write(options.out / f"{page.name}.jpg", as_jpeg(page.image))
            written[page.name] = page.texts
    # Beside the folder, so that the whole folder can be dropped as scans.
    truth = options.out.with_name(f"{options.out.name}-filled.json")
    _write(truth, json.dumps(written, indent=1).encode())
    text = f"{len(written)} pages in {options.out}; what was filled in: {truth}"
    return {"pages": len(written), "folder": str(options.out), "filled": str(truth), "text": text}


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.scans.measure import HEADER, measure_pages

    lines, wrong, figures = [HEADER], [], []
    is_real = False
    for quality in options.quality or ["good"]:
        loaded, layout, pages, is_real = _pages(options, quality)
        counts, unseen = measure_pages(loaded, layout, quality, pages)
        lines.append(counts.line)
        wrong += unseen
        figures.append(vars(counts))
    kind = "real" if is_real else "generated"
    text = "\n".join([f"forms filled in with {kind} loans, seed {options.seed}", *lines, *wrong])
    return {"figures": figures, "unseen": wrong, "text": text}


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise LoanScoringError(f"{path}: cannot be written: {error.strerror}") from error
