"""Write the counts per bin or level of each column of a scored batch, for the web pages.

The pages read these counts, because counting the rows of a batch would be slow.
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.models.baseline import SCORE_BINS
from loan_scoring.monitoring.drift.comparison import Comparison

LEVELS_KEPT = 50
"""Maximum number of levels stored per category. The most frequent levels are stored.

The limit exists because a category with free text may have thousands of levels.
"""


def write_distributions(
    session: Session,
    run: database.Row,
    kinds: Mapping[str, str],
    comparisons: Sequence[Comparison],
    probabilities: np.ndarray,
) -> None:
    """Replace the rows of a scoring run in table `distributions`, in the caller's transaction.

    A feature whose comparison has no counts (the joint tests of all inputs) gets no row.

    Args:
        run: row of the scoring run.
        kinds: drift kind of each feature.
        comparisons: comparisons of the batch with its baseline, one per feature.
        probabilities: default probabilities of the scored loans, shape (scored,).
    """
    run_id, loans = run["scoring_run_id"], run["applications"]
    database.execute(session.connection, "delete_distributions", scoring_run_id=run_id)
    counted = [each for each in comparisons if each.counts is not None]
    counts, _ = np.histogram(probabilities, np.linspace(0, 1, SCORE_BINS + 1))
    histograms = {"default_probability": json.dumps(counts.tolist())}
    rows = pa.table(
        {
            "scoring_run_id": pa.repeat(run_id, len(counted)),
            "kind": [kinds[each.feature] for each in counted],
            "feature": [each.feature for each in counted],
            "loans": pa.repeat(loans, len(counted)),
            "nulls": [round(each.facts["nulls"] * loans) for each in counted],
            "counts": [json.dumps(_kept(each.counts)) for each in counted],
            "profile": [json.dumps(each.profile) for each in counted],
            "histogram": pa.array([histograms.get(e.feature) for e in counted], pa.string()),
        }
    )
    database.copy_in(session.connection, "distributions", rows.column_names, rows)


def _kept(counts: list[int] | dict[str, int] | None) -> list[int] | dict[str, int]:
    if isinstance(counts, dict):
        return dict(list(counts.items())[:LEVELS_KEPT])
    return counts or []
