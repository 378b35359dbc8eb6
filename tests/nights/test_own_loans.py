"""docs/bring-your-own-loans.md, typed word by word on a new machine, gives what it shows."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loan_scoring.local.airflow_client import AirflowClient, attach_to_stack
from loan_scoring.local.postgres import EmbeddedPostgres
from loan_scoring.local.up import stop_services

pytestmark = [pytest.mark.nights, pytest.mark.end_to_end, pytest.mark.integration]

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "bring-your-own-loans.md"
CONTRACT = Path("include/portfolios/personal_loans.yaml")
PATIENCE_SECONDS = 1500
IN_AIRFLOW = re.compile(r"`(\w+)`, \*Trigger\*, and give the \*Partition Key\* `([\d-]+)`")
STAGES = ("ingest", "score", "metrics")


def steps() -> Iterator[tuple[str, str]]:
    """Yield what a reader does and sees: `type`, `diff`, `text`, or `trigger` with DAG and key."""
    language: str | None = None
    block: list[str] = []
    for line in DOCUMENT.read_text().splitlines():
        fence = re.match(r"```(\w*)", line)
        if fence and language is None:
            language = fence[1]
        elif fence:
            yield str(language), "\n".join(block)
            language, block = None, []
        elif language is not None:
            block.append(line)
        elif line.startswith("    "):
            yield "type", line.strip()
        elif found := IN_AIRFLOW.search(line):
            yield "trigger", f"{found[1]} {found[2]}"


def edit(text: str, diff: str) -> str:
    """Return a text in which the lines with - are replaced by those with +."""
    gone, new = (
        "".join(f"{line[1:]}\n" for line in diff.splitlines() if line.startswith(sign))
        for sign in "-+"
    )
    assert text.count(gone) == 1, gone
    return text.replace(gone, new)


def comparable(line: str) -> str:
    """Return a line of output without figures that may differ from machine to machine."""
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", line)
    return " ".join(re.sub(r"\d+\.\d+", "#", line).split())


def is_shown(line: str, output: str) -> bool:
    """Return whether an output has a line of the document, which may be shortened."""
    parts = map(re.escape, comparable(line).split("..."))
    pattern = re.compile(".*".join(parts))
    return any(pattern.match(comparable(printed)) for printed in output.splitlines())


class Reader:
    """A person in a folder of a new machine who types what the document says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def type(self, line: str) -> str:
        """Return what a command prints."""
        words = shlex.split(line)
        variables = {}
        while re.match(r"[A-Z_]+=", words[0]):
            name, _, value = words.pop(0).partition("=")
            variables[name] = value
        program, *rest = words
        python = {
            ".venv/bin/python": [sys.executable],
            ".venv/bin/loan-scoring": [sys.executable, "-m", "loan_scoring.cli"],
        }
        if program == "make":
            if rest == ["setup"]:
                return ""
            rest = [word.removeprefix("PORTFOLIO=") for word in rest]
            python["make"] = [sys.executable, "-m", "loan_scoring.cli.run"]
        done = subprocess.run(
            [*python.get(program, [program]), *rest],
            cwd=self.folder, env=os.environ | variables, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}"
        return done.stdout

    def trigger(self, dag_id: str, key: str) -> None:
        client = attach_to_stack(Path(os.environ["LOAN_SCORING_STATE"]))
        assert client is not None
        client.trigger(dag_id, partition_key=key)
        portfolio = dag_id.removesuffix("_ingest")
        ends = time.monotonic() + PATIENCE_SECONDS
        while not self._is_done(client, {f"{portfolio}_{stage}" for stage in STAGES}, key):
            assert not client.failed_tasks(), client.failed_tasks()
            assert time.monotonic() < ends, client.dag_runs(states=["queued", "running"])
            time.sleep(0.5)

    @staticmethod
    def _is_done(client: AirflowClient, dags: set[str], key: str) -> bool:
        return dags <= {
            run.dag_id for run in client.dag_runs(states=["success"]) if run.partition_key == key
        }


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    for name in ("LOAN_SCORING_SOURCE", "LOAN_SCORING_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOAN_SCORING_STATE", str(tmp_path / ".local"))
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path / CONTRACT.parent))
    yield Reader(tmp_path)
    stop_services()
    EmbeddedPostgres(tmp_path / ".local" / "rehearsal").stop()


def test_a_reader_comes_from_a_raw_file_to_scored_nights(reader: Reader) -> None:
    contract = reader.folder / CONTRACT
    output, done = "", []
    for kind, text in steps():
        done.append(kind)
        if kind == "type":
            output = (output if done[-2:-1] == ["type"] else "") + reader.type(text)
        elif kind == "diff":
            contract.write_text(edit(contract.read_text(), text))
        elif kind == "trigger":
            reader.trigger(*text.split())
        elif kind == "text":
            missing = [line for line in text.splitlines() if not is_shown(line, output)]
            assert not missing, (missing, output)
    assert {"type", "diff", "trigger", "text"} <= {*done}
    assert not contract.exists()
