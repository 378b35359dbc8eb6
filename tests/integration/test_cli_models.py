"""`loan-scoring models`: list, show, promote, roll back, card."""

import getpass
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from loan_scoring import database, settings
from loan_scoring.cli.main import main
from loan_scoring.database.session import Session
from loan_scoring.models import registry

pytestmark = pytest.mark.integration

Ok = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], ready_url: str) -> Callable[..., tuple[int, str, str]]:
    def go(*arguments: str) -> tuple[int, str, str]:
        code = main(["models", *arguments, "--database", ready_url])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return go


@pytest.fixture
def ok(run: Callable[..., tuple[int, str, str]]) -> Ok:
    def go(*arguments: str) -> str:
        code, out, err = run(*arguments)
        assert code == 0, err
        return out

    return go


def test_promote_and_roll_back(ready: Session, challenge: Callable, run: Callable, ok: Ok) -> None:
    challenge("weak", max_iter=5)
    code, out, err = run("promote", "propensity-2")
    assert (code, out) == (1, "")
    assert err.startswith("loan-scoring: propensity-2 fails better")
    assert err.count("\n") == 1
    out = ok("promote", "propensity-2", "--comment", "a drill")
    assert "propensity-2 and the model fitted with it: promoted, better" in out
    me = f"cli:{getpass.getuser()}"
    rows = {row["model_version"]: row for row in json.loads(ok("list", "--json"))["models"]}
    assert [v for v, row in rows.items() if row["is_champion"]] == ["propensity-2", "personas-2"]
    assert (rows["personas-2"]["decided_by"], rows["personas-2"]["comment"]) == (me, "a drill")
    shown = ok("show", "propensity-2")
    assert f"promoted by {me} (command), instead of propensity-1: a drill" in shown
    assert "  better         FAILED  AUC 0." in shown
    assert "in use again: propensity-1, personas-1" in ok("rollback", "--comment", "enough")
    assert registry.champion_pair(ready) == ("propensity-1", "personas-1")
    assert f"promoted by {me} (rollback)" in ok("list")
    last = json.loads(ok("show", "propensity-1", "--json"))["verdicts"][-1]
    assert (last["occasion"], last["replaces"], last["comment"]) == (
        "rollback", "propensity-2", "enough",
    )  # fmt: skip


def test_train_with_hold_leaves_the_decision_to_a_person(
    ready: Session, ready_url: str, capsys: pytest.CaptureFixture[str], monkeypatch, tmp_path: Path
) -> None:
    raw = yaml.safe_load((settings.portfolios_dir() / "loan_default.yaml").read_text())
    raw["promotion"] |= {"calibration_slope": [0.1, 10], "fairness": {"attributes": []}}
    (tmp_path / "loan_default.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    with database.transaction(ready.connection), ready.connection.cursor() as cursor:
        cursor.execute("alter table promotions disable trigger user")
        cursor.execute("delete from promotions")
    assert main(["train", "--promote", "hold", "--database", ready_url]) == 0
    out = capsys.readouterr().out
    assert out.endswith(
        "propensity-1, personas-1: held\nto put it into use, type: "
        "loan-scoring models promote propensity-1 --portfolio loan_default\n"
    )
    assert database.select_read_only(ready.connection, "select * from promotions")[1] == []
    assert main(["models", "promote", "propensity-1", "--database", ready_url]) == 0
    assert registry.champion_pair(ready) == ("propensity-1", "personas-1")


def test_list_before_the_first_model(
    capsys: pytest.CaptureFixture[str], new_database: Callable[..., str]
) -> None:
    assert main(["models", "list", "--database", new_database()]) == 0
    assert capsys.readouterr().out == (
        "no model yet\nno loan has an outcome yet; type: "
        "loan-scoring ingest --portfolio loan_default --batch history --source FILE\n"
    )


def test_card_is_printed_or_written(run: Callable, ok: Ok, tmp_path: Path) -> None:
    assert ok("card", "propensity-1").startswith("# Model card: propensity-1\n")
    page = tmp_path / "card.html"
    assert str(page) in ok("card", "propensity-1", "--html", str(page))
    assert page.read_text().startswith("<!doctype html>")
    code, _, err = run("card", "propensity-1", "--html", str(tmp_path / "none" / "card.html"))
    assert (code, err.count("\n")) == (1, 1)
    assert "cannot write" in err


@pytest.mark.parametrize("command", ["show", "promote", "card"])
def test_unknown_version_is_one_line(run: Callable, command: str) -> None:
    code, out, err = run(command, "propensity-9")
    assert (code, out, err) == (1, "", "loan-scoring: no model propensity-9 in loan_default\n")
