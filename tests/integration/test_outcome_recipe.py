"""The recipe "wrong outcomes" works as it is written, and people see a loan's outcomes."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from databases import url_of
from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.database.session import Session
from loan_scoring.desk.application import read_application
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcome_withdrawal import withdraw_outcomes
from loan_scoring.ingest.outcomes import Declaration, take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.monitoring.performance.restate import restate_performance
from loan_scoring.scoring.batch import score_batch
from loan_scoring_web.forms import QueueQuery
from loan_scoring_web.pages.application import read_application_page
from loan_scoring_web.pages.batch import read_batch_page
from loan_scoring_web.pages.deciding import read_deciding
from loan_scoring_web.pages.drift import read_drift_page
from loan_scoring_web.pages.models import compare_versions
from loan_scoring_web.pages.templating import render_template

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
DROP = "outcomes-2026-01-08"
OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def recipe() -> Iterator[list[str]]:
    """Yield the words of each command of the recipe, without the program."""
    text = OPERATIONS.read_text().partition("### Wrong outcomes\n")[2].partition("\n### ")[0]
    for command in re.findall(r"^ +\.venv/bin/loan-scoring (.+)$", text, re.MULTILINE):
        yield shlex.split(command)


def page(name: str, **shown: object) -> str:
    given = {
        "base": "", "airflow": "", "portfolio": "loan_default", "portfolios": ["loan_default"],
        "user": None, "is_operator": False, "is_admin": False, "active": None,
    }  # fmt: skip
    return render_template(name, **given, **shown)


def select(session: Session, query: str) -> list[list[Any]]:
    return database.select_read_only(session.connection, query)[1]


def write(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["ID,Status,observed_on", *lines]) + "\n")
    return path


@pytest.fixture
def night(ready: Session, drops: Replay) -> list[str]:
    """Score and measure a night; return the lines of its outcomes, "loan,value,date"."""
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])
    score_batch(ready, NIGHT)
    compare_batch(ready, NIGHT)
    header, *lines = drops.outcome_files[0].read_text().splitlines()
    places = [header.split(",").index(name) for name in ("ID", "Status", "observed_on")]
    return [",".join(line.split(",")[place] for place in places) for line in lines]


@pytest.fixture
def run(
    ready: Session, capsys: pytest.CaptureFixture[str]
) -> Callable[[list[str]], tuple[int, str]]:
    def go(arguments: list[str]) -> tuple[int, str]:
        ready.connection.commit()
        code = main([*arguments, "--database", url_of(ready)])
        printed = capsys.readouterr()
        return code, printed.out if code == 0 else printed.err

    return go


def test_recipe_of_wrong_outcomes_works_as_written(
    ready: Session, night: list[str], run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "data/landing/loan_default/outcomes/2026-01-08.csv"
    wrong = [line.replace(",0,", ",1,") for line in night]
    write(source, wrong)
    assert run(["outcomes", "--source", str(source)])[0] == 0
    figures = "select to_jsonb(p) - 'outcomes_change_id' from performance p order by 1"
    at_first = select(ready, figures)
    rate = "select realised_default_rate, state from performance_by_batch"
    assert select(ready, rate) == [[1, "realised"]]

    look, withdraw, undo, right, correct, learned, train = recipe()
    assert run(look)[1].splitlines()[1:] == [f"current,True,{len(wrong)}"]
    code, out = run(withdraw)
    assert code == 0
    assert f"{DROP} revision 1: withdrawn; {len(wrong):,} statements" in out
    assert f"measured again: {NIGHT}" in out
    assert select(ready, rate) == [[None, "unknown"]]
    assert "withdrawn since" in run(withdraw)[1]
    code, err = run(right)  # the wrong bytes are still there
    assert code == 1
    assert "deliver a corrected file, or take it back: " in err
    assert run(undo)[0] == 0
    assert select(ready, figures) == at_first
    write(source, night)
    assert run(right)[0] == 0
    defaults = sum(",1," in line for line in night)
    query = "select count(*) from outcomes where is_default and drop_id <> 'outcomes-history'"
    assert select(ready, query) == [[defaults]]

    paid = next(line for line in night if ",1," in line).split(",")[0]
    write(tmp_path / "corrected.csv", [f"{paid},0,2026-01-07"])
    assert run(correct)[0] == 0
    assert select(ready, query) == [[defaults - 1]]
    assert select(ready, f"select is_default from outcomes where loan_id = {paid}") == [[False]]
    assert run(learned)[1].splitlines() == ["model_version,outcomes_as_of"]  # none of them
    assert run(train)[0] == 0
    assert "propensity-2," in run(learned)[1]
    ((as_of, last),) = select(
        ready,
        "select training_data -> 'outcomes_as_of' ->> 'change_id', max(change_id)::text"
        " from models, outcome_changes where model_version = 'propensity-2' group by 1",
    )
    assert as_of == last


def test_history_of_a_loan_is_shown_by_the_command_and_at_the_desk(
    ready: Session, night: list[str], run: Any, tmp_path: Path
) -> None:
    loan = night[0].split(",")[0]
    take_outcomes(ready, write(tmp_path / "first.csv", [f"{loan},0,2026-02-01"]))
    take_outcomes(ready, write(tmp_path / "wrong.csv", [f"{loan},1,2026-03-01"]))
    withdraw_outcomes(ready, "wrong", "another lender's", "cli:tests")
    declared = Declaration("cli:tests", "read again", is_correction=True)
    take_outcomes(ready, write(tmp_path / "second.csv", [f"{loan},1,2026-01-20"]), declared)
    code, out = run(["loan", loan])
    assert code == 0
    place = out.splitlines().index("outcome      defaulted, observed 2026-01-20")
    assert [line.split() for line in out.splitlines()[place + 1 : place + 4]] == [
        line.split()
        for line in (
            "current defaulted, observed 2026-01-20, correction outcomes-second.correction"
            " revision 1 by cli:tests: read again",
            "withdrawn defaulted, observed 2026-03-01, file outcomes-wrong revision 1"
            " by cli:tests: another lender's",
            "overruled paid, observed 2026-02-01, file outcomes-first revision 1",
        )
    ]
    assert re.search(r"fitted on .* of history revision 1, outcomes as of 20\d\d-", out)
    (record, *_) = json.loads(run(["loan", loan, "--json"])[1])["loan"]
    assert [each["state"] for each in record["outcomes"]] == ["current", "withdrawn", "overruled"]
    shown = read_application(ready, loan).outcomes
    assert [(each["state"], each["is_default"]) for each in shown] == [
        ("current", True),
        ("withdrawn", True),
        ("overruled", False),
    ]


def test_pages_say_as_of_when_and_show_what_files_said(
    ready: Session, night: list[str], tmp_path: Path
) -> None:
    loan = night[0].split(",")[0]
    take_outcomes(ready, write(tmp_path / "late.csv", night))
    restate_performance(ready)
    wrong = "<script>wrong</script>"
    take_outcomes(ready, write(tmp_path / "more.csv", [f"{loan},1,2026-03-01"]))
    withdraw_outcomes(ready, "more", wrong, "cli:tests")
    ((as_of,),) = select(ready, "select outcomes_as_of from performance_by_batch")
    known = f"outcomes as of {as_of:%Y-%m-%d %H:%M}"
    found = read_batch_page(ready, NIGHT)
    assert found is not None
    assert known in page("batch.html", **found)
    assert known in page("drift.html", **read_drift_page(ready, 15), plotly_js="")
    facts = dict(compare_versions(ready, "propensity-1", "propensity-1")["facts"])
    assert re.fullmatch(r"20[\d-]+ [\d:]+ UTC", facts["Outcomes as of"][0])
    found = read_application_page(ready, loan)
    found |= read_deciding(ready, found["shown"], QueueQuery(), "airflow:ann")
    shown = page("desk_application.html", **found, may_appeal=False, plotly_js="")
    assert "outcomes-more revision 1" in shown
    assert "<td>withdrawn</td>" in shown
    assert wrong not in shown
    assert "by cli:tests: &lt;script&gt;" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["withdraw", "--source", "x"], "--comment is missing"),
        (["withdraw", "--source", "x", "--comment", "y", "--correction"], "--correction belongs"),
        (["--source", "x", "--undo"], "--undo and --revision belong"),
        (["--source", "x", "--correction"], "--comment is missing"),
        (["--source", "x", "--comment", "y"], "--comment belongs"),
        (["restore", "--source", "x"], "invalid choice"),
    ],
)
def test_wrong_usage_ends_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["outcomes", *arguments])
    assert message in capsys.readouterr().err
