"""Train the classifier of scanned pages on invented pages, and on own forms that were read."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loan_scoring import __version__, database
from loan_scoring.database.session import Session
from loan_scoring.errors import GoneError, SourceError, StateError
from loan_scoring.models import registry
from loan_scoring.models.fitted import FittedModel
from loan_scoring.models.registry import SCANS
from loan_scoring.scans.classifier import KINDS
from loan_scoring.scans.corrections import page_picture
from loan_scoring.scans.degrade import QUALITIES, Image, degrade
from loan_scoring.scans.form import FONTS
from loan_scoring.scans.layout import Layout, form_layout
from loan_scoring.scans.page_features import FEATURES, page_features
from loan_scoring.scans.page_kinds import DRAWN
from loan_scoring.scans.simulate import CLEAN_DPI, filled, render
from loan_scoring.scans.straighten import straighten
from loan_scoring.statistics.auc import auc

CUT_SHARE = 0.2
"""Share of the forms of which an edge is cut off, so that a mark is missing: still a form."""
CUT = 0.12
HOLDOUT_SHARE = 1 / 3
LEAST = 3
"""Fewest pages of a kind: one of them is in the hold-out."""
PARAMETERS = {"n_estimators": 200, "min_samples_leaf": 2, "n_jobs": 1}
FIGURES = ("form_score", "dpi", "contrast", "blur_mm", "degrees")
"""What is compared with the baseline: the score, and the quality of the scan."""


@dataclass
class Pages:
    """Figures of pages, shape (pages, features), their kinds, and the quality of whole forms."""

    features: NDArray[np.float64]
    kinds: NDArray[np.str_]
    quality: list[dict[str, float] | None]


def train_classifier(
    session: Session, rows: Sequence[Mapping[str, str]], seed: int, own: int, by: str
) -> str:
    """Train a classifier, register it as a challenger, and return its version.

    A third of the pages is the hold-out, on which it is measured. The baseline of monitoring is
    the score and the quality of the whole forms of the hold-out: of own forms, if there are any.
    Equal arguments and equal own pages give the same version.

    Args:
        session: database session of the application role.
        rows: applications as texts, with which forms are filled in; as many pages of each kind.
        seed: start of the random numbers.
        own: most own forms that were read, the newest first, to learn from.
        by: who trains, as `cli:NAME`.

    Raises:
        StateError: the contract declares no form, a package is missing, or there are too few pages.
    """
    from sklearn.ensemble import RandomForestClassifier

    if len(rows) < LEAST:
        raise StateError(f"{len(rows)} pages of each kind are too few: {LEAST} are the least")
    layout = form_layout(session.contract)
    pages = described_pages(
        layout, chain(invented_pages(layout, rows, seed), _own_forms(session, own))
    )
    invented = len(rows) * len(KINDS)
    is_held = _held_out(pages.kinds, invented, seed)
    estimator = RandomForestClassifier(random_state=seed, **PARAMETERS)
    estimator.fit(pages.features[~is_held], pages.kinds[~is_held])
    chances = estimator.predict_proba(pages.features[is_held])
    metrics = measured(pages.kinds[is_held], chances, estimator.classes_)
    scores = chances[:, list(estimator.classes_).index("form")]
    baseline = _baseline(pages, is_held, scores, invented)
    held = {
        "features": pages.features[is_held].round(6).tolist(),
        "kinds": pages.kinds[is_held].tolist(),
    }
    model = FittedModel(
        SCANS, estimator, estimator.get_params(), list(FEATURES), metrics,
        type(estimator).__name__, baseline=baseline, evaluation={"holdout_pages": held},
    )  # fmt: skip
    data = {
        "invented_pages": invented, "own_forms": len(pages.kinds) - invented, "seed": seed,
        "form_code": layout.code, "triggered_by": by,
    }  # fmt: skip
    return registry.register_models(session, [model], _fingerprint(pages, seed), data)[SCANS]


def invented_pages(
    layout: Layout, rows: Sequence[Mapping[str, str]], seed: int
) -> Iterator[tuple[str, Image]]:
    """Yield pages of every kind as a scanner leaves them, on any side. Equal seeds, equal pages.

    Args:
        layout: the form.
        rows: applications with which forms are filled in; as many pages of each kind.
        seed: start of the random numbers.
    """
    names = sorted(QUALITIES)
    for place, row in enumerate(rows):
        for kind in KINDS:
            draw = np.random.default_rng([seed, place, KINDS.index(kind)])
            if kind == "form":
                texts = {b.column.name: filled(b.column, row[b.column.name]) for b in layout.boxes}
                clean = render(layout, texts, FONTS[place % len(FONTS)])
            else:
                clean = DRAWN[kind](draw)
            page = degrade(clean, CLEAN_DPI, QUALITIES[names[place % len(names)]], draw)
            if kind == "form" and draw.random() < CUT_SHARE:
                page = page[round(CUT * len(page)) :]
            yield kind, np.ascontiguousarray(np.rot90(page, int(draw.integers(0, 4))))


def described_pages(layout: Layout, pages: Iterator[tuple[str, Image]]) -> Pages:
    """Return the figures of pages, and the quality of those that are whole forms."""
    features: list[NDArray[np.float64]] = []
    kinds: list[str] = []
    quality: list[dict[str, float] | None] = []
    for kind, page in pages:
        found = None
        if kind == "form":
            try:
                found = straighten(page, layout, "page").quality.as_dict()
            except SourceError:  # an edge is cut off, or the quality is too poor to be read
                found = None
        features.append(page_features(page))
        kinds.append(kind)
        quality.append(found)
    shape = (len(kinds), len(FEATURES))
    return Pages(np.array(features, np.float64).reshape(shape), np.array(kinds, str), quality)


def measured(
    kinds: NDArray[np.str_], chances: NDArray[np.float64], classes: NDArray[np.str_]
) -> dict[str, Any]:
    """Return the metrics of predictions: right pages by kind, accuracy, log loss, AUC of a form.

    Args:
        kinds: what each page is, shape (pages,).
        chances: probability of each class, shape (pages, classes).
        classes: the classes in order.
    """
    named = classes[chances.argmax(axis=1)]
    places = np.searchsorted(classes, kinds)
    of_truth = np.clip(chances[np.arange(len(kinds)), places], 1e-15, 1)
    return {
        "pages": len(kinds),
        "accuracy": float((named == kinds).mean()),
        "log_loss": float(-np.log(of_truth).mean()),
        "auc": auc((kinds == "form").astype(int), chances[:, list(classes).index("form")]),
        "confusion": {
            kind: {other: int(((kinds == kind) & (named == other)).sum()) for other in KINDS}
            for kind in KINDS
        },
    }


def _own_forms(session: Session, most: int) -> Iterator[tuple[str, Image]]:
    """Yield own pages that were read as forms, the newest first."""
    with database.transaction(session.connection):
        pages = database.rows(session.connection, "select_newest_forms", most=most)
    for page in pages:
        # Its file may be gone meanwhile, by retention or an erasure.
        with suppress(GoneError, SourceError):
            yield "form", page_picture(session, page)


def _held_out(kinds: NDArray[np.str_], invented: int, seed: int) -> NDArray[np.bool_]:
    """Return whether each page is in the hold-out: a third of each kind, and of the own forms."""
    draw, is_held = np.random.default_rng([seed, 1]), np.zeros(len(kinds), bool)
    is_own = np.arange(len(kinds)) >= invented
    for kind in KINDS:
        for group in (np.flatnonzero((kinds == kind) & (is_own == own)) for own in (False, True)):
            is_held[draw.permutation(group)[: round(len(group) * HOLDOUT_SHARE)]] = True
    return is_held


def _baseline(
    pages: Pages, is_held: NDArray[np.bool_], scores: NDArray[np.float64], invented: int
) -> dict[str, Any]:
    """Return the sorted values of each figure over whole forms of the hold-out.

    These are own forms if there are any, because invented ones come from no scanner.

    Args:
        pages: all pages, the invented ones first.
        is_held: whether each page is in the hold-out, shape (pages,).
        scores: score of a form of each page of the hold-out, shape (hold-out pages,).
        invented: number of invented pages.
    """
    held = [
        (place, {"form_score": float(score), **quality})
        for place, score in zip(np.flatnonzero(is_held), scores, strict=True)
        if (quality := pages.quality[place]) is not None
    ]
    own = [each for place, each in held if place >= invented]
    forms = own or [each for _, each in held]
    if not forms:
        raise StateError("too few pages: none is a whole form of the hold-out; raise --n")
    return {
        "forms": "own" if own else "invented",
        "values": {name: sorted(round(each[name], 4) for each in forms) for name in FIGURES},
    }


def _fingerprint(pages: Pages, seed: int) -> str:
    described = [pages.features.round(6).tolist(), pages.kinds.tolist(), PARAMETERS, seed]
    text = json.dumps([*described, list(FEATURES), __version__])
    return hashlib.sha256(text.encode()).hexdigest()
