"""A small classifier of scanned pages in the registry, for tests of what is done with one."""

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.fitted import FittedModel
from loan_scoring.models.registry import SCANS
from loan_scoring.scans.classifier import KINDS

FIGURES = ("dpi", "contrast", "blur_mm", "degrees")


def quality(draw: np.random.Generator, shift: float = 0.0) -> dict[str, float]:
    return {name: float(draw.normal(10 + shift, 1)) for name in FIGURES}


def classifier(session: Session, seed: int, right: float = 1.0) -> str:
    """Register a classifier of two figures that is right on a share of its hold-out."""
    draw = np.random.default_rng(seed)
    kinds = np.repeat(KINDS, 50)
    places = np.repeat(np.arange(4.0), 50)
    features = np.column_stack([places, draw.normal(size=200)])
    learnt = np.where(draw.random(200) < right, kinds, np.roll(kinds, 50))
    estimator = RandomForestClassifier(n_estimators=10, random_state=seed).fit(features, learnt)
    named = estimator.predict(features)
    confusion = {
        kind: {other: int(((kinds == kind) & (named == other)).sum()) for other in KINDS}
        for kind in KINDS
    }
    forms = [{"form_score": float(draw.beta(20, 1)), **quality(draw)} for _ in range(200)]
    model = FittedModel(
        SCANS, estimator, {"seed": seed}, ["place", "noise"],
        {"pages": 200, "accuracy": float((named == kinds).mean()), "log_loss": 0.1, "auc": 1.0,
         "confusion": confusion},
        "RandomForestClassifier",
        baseline={"forms": "invented", "values": {
            name: [each[name] for each in forms] for name in ("form_score", *FIGURES)}},
        evaluation={"holdout_pages": {"features": features.tolist(), "kinds": kinds.tolist()}},
    )  # fmt: skip
    data = {
        "invented_pages": 600,
        "own_forms": 0,
        "seed": seed,
        "form_code": "0",
        "triggered_by": "cli:tests",
    }
    return registry.register_models(session, [model], f"{seed:064x}", data)[SCANS]
