"""The notebook of docs/ runs from its first to its last cell against a running Airflow."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.extras,
    pytest.mark.end_to_end,
    pytest.mark.integration,
]

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "walkthrough.ipynb"
MOST_BYTES = 300_000
"""Largest size of the file with its outputs, which is committed."""


def test_notebook_runs_and_decides_an_application(site: Any, tmp_path: Path) -> None:
    python = os.environ.get("LOAN_SCORING_EXTRAS_PYTHON")
    if python is None:
        pytest.skip("make test-extras runs it, with a Python that has the extra notebook")
    before = site.row("SELECT count(*) FROM approvals")[0]
    done = tmp_path / "walkthrough.ipynb"
    run = subprocess.run(
        [python, "-c", "from nbclient.cli import main; main()",
         "--output", str(done.with_suffix("")), str(NOTEBOOK)],
        env=site.environment, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]

    cells = json.loads(done.read_text())["cells"]
    outputs = [each for cell in cells for each in cell.get("outputs", [])]
    assert all(each["output_type"] != "error" for each in outputs)
    pictures = [each for each in outputs if "image/png" in each.get("data", {})]
    assert len(pictures) >= 4  # policy, contributions, drift of inputs and of scores
    printed = "".join("".join(each["text"]) for each in outputs if each["output_type"] == "stream")
    assert "Review: the default probability, " in printed
    assert "granted" in printed or "refused" in printed
    assert site.row("SELECT count(*) FROM approvals")[0] == before + 1
    found = site.row("SELECT decided_by, comment FROM approvals ORDER BY approval_id DESC LIMIT 1")
    assert found == ("cli:notebook", "walkthrough: compared with its persona")
    assert done.stat().st_size < MOST_BYTES
    keep = os.environ.get("LOAN_SCORING_KEEP_NOTEBOOK")
    if keep:
        shutil.copy(done, keep)


def test_committed_notebook_is_small_and_its_figures_are_of_generated_loans() -> None:
    """Outputs show figures of loans, and those of real ones are not the project's to publish."""
    text = NOTEBOOK.read_text()
    assert len(text.encode()) < MOST_BYTES
    assert "synthetic" in text
