"""Say what a scanned page is, by the classifier in use: a form, or which other kind of page."""

from dataclasses import dataclass
from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.registry import SCANS
from loan_scoring.scans.degrade import Image
from loan_scoring.scans.page_features import page_features

KIND_WORDS = {
    "form": "a form", "identity_document": "an identity document", "pay_slip": "a pay slip",
    "other": "something else",
}  # fmt: skip
"""The kinds of page, in words. Their order is that of the probabilities."""
KINDS = tuple(KIND_WORDS)


@dataclass(frozen=True)
class Classified:
    """What a page is taken for, with the probability of that and of a form."""

    kind: str
    score: float
    form_score: float
    version: str


@dataclass(frozen=True)
class Classifier:
    """A registered classifier that is ready for pages."""

    version: str
    estimator: Any

    def classify(self, page: Image) -> Classified:
        """Return what a page is, whatever side it lies on."""
        chances = dict(
            zip(
                self.estimator.classes_.tolist(),
                self.estimator.predict_proba(page_features(page)[None])[0].tolist(),
                strict=True,
            )
        )
        kind = max(chances, key=chances.__getitem__)
        return Classified(kind, chances[kind], chances["form"], self.version)


def load_classifier(session: Session) -> Classifier | None:
    """Return the classifier in use. Return None if none was promoted: the form alone then decides.

    Raises:
        StateError: its artifact is missing or was changed.
    """
    with database.transaction(session.connection):
        version = registry.champion_version(session, SCANS)
        if version is None:
            return None
        row = registry.model_row(session, version)
    return Classifier(version, registry.model_estimator(session, row))
