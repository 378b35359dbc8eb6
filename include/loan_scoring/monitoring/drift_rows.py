"""Write the verdicts of drift tests to table `drift`."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.monitoring.drift.decide import TestVerdict


def write_drift(
    session: Session,
    run_id: str,
    replaced: Sequence[str],
    kinds: Mapping[str, str],
    verdicts: Sequence[TestVerdict],
    against: Mapping[str, str | None] | None = None,
) -> None:
    """Replace the rows of a scoring run in table `drift`, in the caller's transaction.

    Only the rows of the drift kinds in `replaced` are deleted. Rows of other kinds stay.

    Args:
        run_id: id of the scoring run.
        replaced: drift kinds whose earlier rows are deleted.
        kinds: drift kind of each feature.
        verdicts: verdicts to write. Their features have only kinds that are in `replaced`.
        against: what each feature was compared with beside the training, from `what_against`.
    """
    database.execute(
        session.connection, "delete_drift", scoring_run_id=run_id, kinds=list(replaced)
    )
    rows = pa.table(
        {
            "scoring_run_id": pa.repeat(run_id, len(verdicts)),
            "kind": [kinds[each.feature] for each in verdicts],
            "feature": [each.feature for each in verdicts],
            "test": [each.test.name for each in verdicts],
            "statistic": [each.test.statistic for each in verdicts],
            "p_value": pa.array([each.test.p_value for each in verdicts], pa.float64()),
            "p_adjusted": pa.array([each.p_adjusted for each in verdicts], pa.float64()),
            "effect": [each.test.effect for each in verdicts],
            "threshold": [each.test.threshold for each in verdicts],
            "level": [each.level for each in verdicts],
            "against": pa.array([(against or {}).get(e.feature) for e in verdicts], pa.string()),
        }
    )
    if verdicts:
        database.copy_in(session.connection, "drift", rows.column_names, rows)
