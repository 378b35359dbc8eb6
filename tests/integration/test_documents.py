"""What the documents tell people to type: queries run, commands and targets are there."""

import re
import shlex
from pathlib import Path

import pytest

from loan_scoring import database
from loan_scoring.cli.main import parser
from loan_scoring.database.session import open_session

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = {
    path.relative_to(REPOSITORY).as_posix(): path.read_text()
    for path in [REPOSITORY / "README.md", *sorted(REPOSITORY.glob("docs/*.md"))]
}
# In an indented line: after the virtual environment's folder, or in a container.
COMMAND = re.compile(
    r"^    (?:.* )?(?:\.venv/bin/|(?:worker|init) )loan-scoring (?P<typed>[^#\n]*)"
    r"|^    .* --entrypoint loan-scoring init (?P<in_init>[^#\n]*)",
    re.MULTILINE,
)
SQL = re.compile(r"^```sql\n(.*?)^```", re.MULTILINE | re.DOTALL)

COMMANDS = [
    # What may be left out stands in brackets.
    (name, shlex.split(re.sub(r"[\[\]]", "", found["typed"] or found["in_init"])))
    for name, text in DOCUMENTS.items()
    for found in COMMAND.finditer(text)
]
QUERIES = [(name, query) for name, text in DOCUMENTS.items() for query in SQL.findall(text)]
QUERIES += [(name, words[-1]) for name, words in COMMANDS if words[0] == "sql" and len(words) > 1]


def test_documents_have_commands_and_queries() -> None:
    assert {"README.md", "docs/operations.md", "docs/data-contract.md"} <= {n for n, _ in COMMANDS}
    assert len(COMMANDS) > 60
    assert len(QUERIES) > 25


@pytest.mark.parametrize(("document", "words"), COMMANDS)
def test_command_is_understood(document: str, words: list[str]) -> None:
    options = parser().parse_args(words)
    assert callable(options.handler), document


@pytest.mark.parametrize(("document", "query"), QUERIES)
def test_query_runs(night_scored: str, document: str, query: str) -> None:
    with open_session("loan_default", night_scored) as session:
        header, _ = database.select_read_only(session.connection, query)
    assert header, document


def test_targets_of_make_are_there() -> None:
    targets = set(
        re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    )
    for name, text in DOCUMENTS.items():
        named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", text, re.MULTILINE))
        assert named <= targets, name
