"""Record how two models see the loans of one hold-out: by threshold, and by grade."""

import json
from collections.abc import Sequence

import numpy as np

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.models.grading import Scale
from loan_scoring.models.scorer import Scorer
from loan_scoring.statistics.cutoffs import cells_of, threshold_grid

STEPS = 50
"""Number of thresholds of the grid. Twice as many would give about twice as many cells."""


def record_comparison(
    session: Session,
    models: Sequence[database.Row],
    scorers: Sequence[Scorer],
    y: np.ndarray,
    probabilities: Sequence[np.ndarray],
) -> None:
    """Record the comparison of a challenger with the champion, instead of an earlier one.

    Args:
        session: database session.
        models: rows of the challenger and the champion.
        scorers: their scorers.
        y: outcomes of the loans of the common hold-out, 1 for default, shape (rows,).
        probabilities: the probabilities of both models, shape (rows,) each.
    """
    challenger, champion = probabilities
    policy = session.contract.decision.model_dump().values()
    grid = threshold_grid(np.concatenate(probabilities), policy, STEPS)
    cells = {"thresholds": grid, "cells": cells_of(y, champion, challenger, grid)}
    ours, theirs = (scorer.scale for scorer in scorers)
    grades = None
    if ours is not None and theirs is not None:
        grades = {
            "champion": theirs.names,
            "challenger": ours.names,
            **migration_matrix(theirs, champion, ours, challenger, y),
        }
    key = {name: row["model_version"] for name, row in zip(NAMES, models, strict=True)}
    with database.transaction(session.connection):
        database.execute(session.connection, "delete_model_comparison", **key)
        database.execute(
            session.connection,
            "insert_model_comparison",
            **key,
            loans=len(y),
            defaults=int(y.sum()),
            cells=json.dumps(cells),
            grades=None if grades is None else json.dumps(grades),
        )


NAMES = ("challenger", "champion")


def migration_matrix(
    before: Scale, old: np.ndarray, after: Scale, new: np.ndarray, y: np.ndarray
) -> dict[str, list[list[int]]]:
    """Return `loans` and `defaults` by the grade of one model (rows) and the other (columns).

    Args:
        before: scale of the one model.
        old: its probabilities, shape (rows,).
        after: scale of the other model.
        new: its probabilities for the same loans, shape (rows,).
        y: outcomes, 1 for default, shape (rows,).
    """
    shape = (len(before.names), len(after.names))
    cell = before.places(old) * shape[1] + after.places(new)
    loans = np.bincount(cell, minlength=shape[0] * shape[1])
    defaults = np.bincount(cell, y, shape[0] * shape[1]).astype(int)
    return {
        "loans": loans.reshape(shape).tolist(),
        "defaults": defaults.reshape(shape).tolist(),
    }
