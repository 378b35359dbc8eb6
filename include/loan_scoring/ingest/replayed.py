"""Remember on which nights a replay changed the loans on purpose, so that pages can say so."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from loan_scoring.database.files import write_whole
from loan_scoring.errors import LoanScoringError

FILE = "replay.json"
"""Name of the file in the landing folder of a portfolio."""


def record_scenarios(landing: Path, by_night: Mapping[str, Sequence[str]]) -> None:
    """Write which scenarios a replay put on which nights, beside those of earlier replays.

    Args:
        landing: landing folder of the portfolio.
        by_night: names of scenarios by batch_id. A night without scenarios is forgotten.
    """
    known = {**read_scenarios(landing), **{night: list(names) for night, names in by_night.items()}}
    kept = {night: names for night, names in sorted(known.items()) if names}
    if kept or (landing / FILE).exists():
        write_whole(landing / FILE, (json.dumps(kept, indent=1) + "\n").encode())


def read_scenarios(landing: Path) -> dict[str, list[str]]:
    """Return the names of scenarios by batch_id. Empty if no replay put one on.

    Raises:
        LoanScoringError: the file is not what `record_scenarios` wrote.
    """
    path = landing / FILE
    try:
        found = json.loads(path.read_bytes())
        return {str(night): [str(name) for name in names] for night, names in found.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError, OSError) as error:
        raise LoanScoringError(
            f"{path}: cannot be read ({type(error).__name__}); remove it, and replay again"
        ) from error
