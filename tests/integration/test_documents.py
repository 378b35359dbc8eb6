"""What the documents tell people to type works: queries run, commands, targets and links exist."""

import argparse
import re
import shlex
import textwrap
from pathlib import Path

import pytest
import yaml

from loan_scoring import contract, database
from loan_scoring.cli.main import parser
from loan_scoring.database.session import open_session

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = {
    path.relative_to(REPOSITORY).as_posix(): path.read_text()
    for path in [
        REPOSITORY / "README.md",
        REPOSITORY / "CONTRIBUTING.md",
        *sorted(path for path in REPOSITORY.glob("docs/**/*.md") if path.parent.name != "adr"),
    ]
}
PAGES = [
    *(REPOSITORY / name for name in DOCUMENTS),
    *(REPOSITORY / name for name in ("CHANGELOG.md", "data/README.md", "plugins/README.md")),
    *sorted(REPOSITORY.glob("docs/adr/*.md")),
]
README_BYTES = 8192

# After the virtual environment's folder, or in a container.
COMMAND = re.compile(
    r"(?:\.venv/bin/|(?:worker|init) )loan-scoring(?: (?P<typed>[^#]*))?$"
    r"|--entrypoint loan-scoring init (?P<in_init>[^#]*)$"
)
MENTIONED = re.compile(r"`(?:\.venv/bin/)?loan-scoring ([a-z][^`]*)`")
VARIABLE = re.compile(r"(?<![A-Z_])LOAN_SCORING_[A-Z_]+")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def code_blocks(text: str) -> list[tuple[str, str]]:
    """Return the language and the text of each fenced and each indented block."""
    blocks: list[tuple[str, list[str]]] = []
    is_fenced = is_indented = False
    for line in text.splitlines():
        fence = re.match(r" *```(\w*)", line)
        if fence:
            is_fenced, is_indented = not is_fenced, False
            if is_fenced:
                blocks.append((fence[1], []))
        elif is_fenced:
            blocks[-1][1].append(line)
        elif line.startswith("    "):
            if not is_indented:
                blocks.append(("", []))
            is_indented = True
            blocks[-1][1].append(line.strip())
        else:
            is_indented = False
    return [(language, "\n".join(lines)) for language, lines in blocks]


def typed_lines(text: str) -> list[str]:
    """Return the lines to type, without comments; those continued by a backslash as one."""
    lines = [
        line
        for language, block in code_blocks(text)
        if language in ("", "sh", "bash")
        for line in re.sub(r"\\\n\s*", "", block).splitlines()
    ]
    return [re.sub(r"(^|\s+)# .*$", "", line).strip() for line in lines]


def words(command: str) -> list[str]:
    """Return a command's words; what may be left out stands in brackets."""
    return shlex.split(re.sub(r"[\[\]]", "", command))


COMMANDS = [
    (name, words(found["typed"] or found["in_init"] or ""))
    for name, text in DOCUMENTS.items()
    for line in typed_lines(text)
    if (found := COMMAND.search(line))
]
QUERIES = [
    (name, block)
    for name, text in DOCUMENTS.items()
    for language, block in code_blocks(text)
    if language == "sql"
] + [(name, command[-1]) for name, command in COMMANDS if command[:1] == ["sql"] and command[1:]]


def subcommands() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command of loan-scoring."""
    (action,) = (each for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    return dict(action.choices)


def anchors(page: Path) -> set[str]:
    """Return the anchors that a forge makes of a page's headings."""
    is_code = False
    found = set()
    for line in page.read_text().splitlines():
        is_code ^= line.lstrip().startswith("```")
        heading = re.match(r"#+ (.+)", line)
        if heading and not is_code:
            plain = re.sub(r"[^\w\- ]", "", heading[1].lower())
            found.add(plain.replace(" ", "-"))
    return found


def test_documents_have_commands_and_queries() -> None:
    assert {"README.md", "docs/operations.md", "docs/models.md"} <= {name for name, _ in COMMANDS}
    assert len(COMMANDS) > 60
    assert len(QUERIES) > 25


@pytest.mark.parametrize(("document", "command"), COMMANDS)
def test_command_is_understood(document: str, command: list[str]) -> None:
    options = parser().parse_args(command)
    assert callable(options.handler), document


@pytest.mark.parametrize(("document", "query"), QUERIES)
def test_query_runs(night_scored: str, document: str, query: str) -> None:
    with open_session("loan_default", night_scored) as session:
        header, _ = database.select_read_only(session.connection, query)
    assert header, document


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_query_and_no_command_is_left_out(document: str) -> None:
    for language, block in code_blocks(DOCUMENTS[document]):
        if language != "sql":
            assert not re.search(r"(?im)^\s*(select|with)\b", block), block
    unread = [
        line
        for line in typed_lines(DOCUMENTS[document])
        if re.search(r"(?<![\w./:-])loan-scoring [a-z]", line) and not COMMAND.search(line)
    ]
    assert not unread


def test_parts_of_a_contract_are_valid(tmp_path: Path) -> None:
    whole, *parts, margins = (
        textwrap.dedent(block)
        for language, block in code_blocks(DOCUMENTS["docs/data-contract.md"])
        if language == "yaml"
    )
    raw = yaml.safe_load(whole)
    for part in parts:
        raw |= yaml.safe_load(part)
    number, category = (yaml.safe_load(line)["margin"] for line in margins.splitlines())
    raw["columns"][1]["margin"] = number
    home = {"source": "Home", "name": "home", "label": "Home", "type": "category"}
    levels = {"levels": ["own", "rent"], "known": "application", "margin": category}
    raw["columns"].append(home | levels)
    for name, type_ in (
        ("application_date", "date"), ("first_credit_date", "date"), ("emp_length", "text"),
        ("customer_id", "integer"), ("district_id", "integer"),
    ):  # fmt: skip
        common = {"source": name, "name": name, "label": name, "known": "application"}
        raw["columns"].append(common | {"type": type_})
    path = tmp_path / "car_loans.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    found = contract.read(path)
    assert len(found.notifications) == 3
    assert found.outcomes.recovered is not None


@pytest.mark.parametrize("document", DOCUMENTS)
def test_mentioned_commands_exist(document: str) -> None:
    known = subcommands()
    for mentioned in MENTIONED.findall(DOCUMENTS[document]):
        assert mentioned.split()[0] in known, mentioned


def test_each_command_is_documented() -> None:
    page = DOCUMENTS["docs/command-line.md"]
    missing = {name for name in subcommands() if not re.search(rf"(`|loan-scoring ){name}\b", page)}
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_targets_of_make_exist(document: str) -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):(?!=)", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`|^ {4,})make ([a-z-]+)", DOCUMENTS[document], re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_services_of_compose_exist(document: str) -> None:
    compose = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())
    lines = "\n".join(typed_lines(DOCUMENTS[document]))
    named = re.findall(r"^docker compose (?:exec|logs|cp \S+) ([\w-]+)", lines, re.MULTILINE)
    assert set(named) <= set(compose["services"])


def variables(*patterns: str) -> set[str]:
    """Return the variables that files of the repository name."""
    files = (path for pattern in patterns for path in REPOSITORY.glob(pattern))
    return {name for path in files for name in VARIABLE.findall(path.read_text())}


def test_variables_exist() -> None:
    settings = variables("include/loan_scoring/settings.py")
    assert settings <= variables("docs/command-line.md")
    containers = variables("docker-compose.yaml", "include/loan_scoring/database/roles.py")
    others = {
        "docs/operations.md": containers,
        "docs/scans.md": containers,
        "docs/spark.md": containers,
        "docs/security.md": containers,
        "CONTRIBUTING.md": variables("tests/**/*.py"),
    }
    for document in DOCUMENTS:
        assert variables(document) <= settings | others.get(document, set()), document


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_code_exists(document: str) -> None:
    code = [
        path
        for name in ("include", "dags", "plugins")
        for path in REPOSITORY.glob(f"{name}/**/*.py")
    ]
    paths = [
        f"/{path.relative_to(REPOSITORY)}" for path in (*code, *REPOSITORY.glob("tests/**/*.py"))
    ]
    for named in re.findall(r"`([\w/]+\.py)`", DOCUMENTS[document]):
        assert any(path.endswith(f"/{named}") for path in paths), named
    text = "\n".join(path.read_text() for path in code)
    for named in re.findall(r"`(\w+)\(\)`", DOCUMENTS[document]):
        assert f"def {named}(" in text, named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"(?ms)^ *```.*?^ *```$", "", page.read_text())
    for link in LINK.findall(text):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_readme_is_one_page() -> None:
    assert len((REPOSITORY / "README.md").read_bytes()) <= README_BYTES
