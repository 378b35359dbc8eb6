"""Lenders' labels and monthly books: open loans, other columns and dates, rows that repeat."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import SourceError, StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcome_withdrawal import withdraw_outcomes
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.monitoring.status import read_status
from loan_scoring.monitoring.status_text import render_status
from loan_scoring_web.pages.batches import read_batches_page
from loan_scoring_web.pages.templating import render_template

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
COLUMNS = [
    {"source": "nr", "name": "loan_id", "type": "integer"},
    {"source": "amount", "name": "amount_eur", "type": "number", "range": [0, None]},
]
TARGET = {"source": "status", "positive": ["bad"], "negative": ["paid"]}


@pytest.fixture
def url(new_database: Callable[..., str]) -> str:
    return new_database()


@pytest.fixture
def lender(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that writes a contract and opens a session with it."""
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))

    @contextmanager
    def enter(**changes: Any) -> Iterator[Session]:
        raw = {
            "portfolio": "lender", "title": "t", "owner": "risk", "target": TARGET,
            "columns": [{"label": c["name"], "known": "application"} | c for c in COLUMNS],
            "decision": {"approve_below": 0.1, "decline_from": 0.3},
        } | changes  # fmt: skip
        (tmp_path / "lender.yaml").write_text(yaml.safe_dump(raw))
        with open_session("lender", url, migrates=True) as session:
            yield session

    return enter


def write(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def labelled(folder: Path, *states: tuple[str, int]) -> Path:
    """Write a history whose loans have these states, each so many times."""
    texts = [state for state, loans in states for _ in range(loans)]
    rows = [f"{n},{100 + n},{text}" for n, text in enumerate(texts, 1)]
    return write(folder, "history.csv", "nr,amount,status", *rows)


def select(session: Session, query: str) -> list[list[Any]]:
    return database.select_read_only(session.connection, query)[1]


# Labels of the history


@pytest.mark.parametrize("state", ["current", ""])
def test_open_loans_of_the_history_are_applications_without_an_outcome(
    lender: Any, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    history = labelled(tmp_path, ("paid", 18), ("bad", 9), (state, 12))
    with lender() as session, pytest.raises(StateError, match=r"12 of 39 .*under target.open"):
        ingest_batch(session, "history", history)
    with lender(target=TARGET | {"open": [state]}) as session:
        taken = ingest_batch(session, "history", history).outcomes
        assert taken is not None
        assert (taken.received, taken.accepted, taken.open, taken.quarantined) == (39, 27, 12, 0)
        assert select(session, "select count(*) from current_applications") == [[39]]
        assert select(session, "select count(*), count(*) filter (where is_default) from outcomes"
        ) == [[27, 9]]  # fmt: skip
    changed = history.read_text().replace(",bad", ",paid", 1)
    history.write_text(changed)
    code = main(["ingest", "--portfolio", "lender", "--batch", "history", "--source", str(history),
                 "--database", url])  # fmt: skip
    assert code == 0
    assert capsys.readouterr().out.splitlines() == [
        "batch history revision 2: 39 received, 39 accepted, 0 quarantined",
        "outcomes-history revision 2: 39 received, 27 accepted, 12 open (no outcome yet), "
        "0 quarantined",
        "no champion yet: lender has 27 loans with an outcome, fewer than the 1,000 of "
        "training.min_loans: ingest more history, or lower training.min_loans in the contract; "
        "type: loan-scoring ingest --portfolio lender --batch history --source FILE",
    ]


def test_target_that_is_a_number_is_compared_as_a_number(lender: Any, tmp_path: Path) -> None:
    history = labelled(tmp_path, ("0.0", 29), ("1.0", 10))
    with lender(target=TARGET | {"positive": ["1"], "negative": ["0"]}) as session:
        ingest_batch(session, "history", history)
        assert select(session, "select is_default, count(*) from outcomes group by 1 order by 1"
        ) == [[False, 29], [True, 10]]  # fmt: skip


def test_a_loan_that_becomes_open_again_in_the_history_loses_its_outcome(
    lender: Any, tmp_path: Path
) -> None:
    with lender(target=TARGET | {"open": ["current"]}) as session:
        ingest_batch(session, "history", labelled(tmp_path, ("paid", 5), ("bad", 5)))
        ingest_batch(session, "history", labelled(tmp_path, ("paid", 4), ("current", 6)))
        assert select(session, "select count(*) from outcomes") == [[4]]


# Rows below the limit of quarantine


def test_rows_below_the_limit_are_told_in_line_log_status_and_page(
    lender: Any, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    history = labelled(tmp_path, ("paid", 30), ("bad", 8), ("soon", 1))
    history.write_text(history.read_text() + "40,-1,paid\n")
    with lender():
        pass
    caplog.set_level("INFO")
    arguments = ["--portfolio", "lender", "--database", url]
    assert main(["ingest", "--batch", "history", "--source", str(history), *arguments]) == 0
    line, outcomes, _ = capsys.readouterr().out.splitlines()
    assert line.endswith("40 received, 39 accepted, 1 quarantined (out_of_range:amount_eur 1)")
    told = "38 accepted, 2 quarantined (unknown_level:status 1, unknown_loan:loan_id 1)"
    assert outcomes == f"outcomes-history revision 1: 40 received, {told}"
    assert told in caplog.text
    assert "batch history: in quarantine: out_of_range:amount_eur 1" in caplog.text
    late = write(tmp_path, "late.csv", "nr,status,observed_on", "1,paid,2026-01-02", "2,x,soon")
    assert main(["outcomes", "--source", str(late), *arguments]) == 0
    told = "1 quarantined (not_a_date:observed_on 1, unknown_level:status 1)"
    assert told in capsys.readouterr().out
    assert main(["outcomes", "--source", str(late), *arguments]) == 0
    assert f"{told} (the same bytes: nothing changed)" in capsys.readouterr().out
    with lender() as session:
        text = render_status(read_status(session))
        assert "not_a_date:observed_on 1, unknown_level:status 1" in text
        page = render_template(
            "batches.html", base="", airflow="", portfolio="lender", portfolios=["lender"],
            user=None, is_operator=False, is_admin=False, active=None,
            **read_batches_page(session, None),
        )  # fmt: skip
    assert "not_a_date:observed_on 1, unknown_level:status 1" in page
    assert page.index("outcomes-late") < page.index("outcomes-history")


# Files of outcomes


def test_files_of_outcomes_look_as_the_contract_says(lender: Any, tmp_path: Path) -> None:
    target = {"source": "status", "positive": ["Charged Off", "1"],
              "negative": ["Fully Paid", "0"], "open": ["Current", "Fully Paid?"]}  # fmt: skip
    ids = range(69116856, 69116906)
    rows = [f"{n},1" for n in ids]
    loans = write(tmp_path, "night.csv", "nr,amount", *rows)
    plain = write(tmp_path, "out1.csv", "nr,status", f"{ids[0]},Fully Paid")
    current = write(
        tmp_path, "out2.csv", "nr,status,observed_on", *(f"{n},Current,2026-02-01" for n in ids)
    )
    german = write(tmp_path, "out3.csv", "nr,status,observed_on", f"{ids[1]},Fully Paid,01.02.2026")
    iso = write(tmp_path, "out4.csv", "nr,status,observed_on", f"{ids[2]},Charged Off,2026-02-01")
    other = write(tmp_path, "out5.csv", "loan_id,is_default,observed_on", f"{ids[3]},0,2026-02-01")
    with lender(target=target) as session:
        ingest_batch(session, NIGHT, loans)
        assert take_outcomes(session, plain).accepted == 1
        taken = take_outcomes(session, current)
        assert (taken.received, taken.accepted, taken.open, taken.quarantined) == (50, 0, 50, 0)
        assert take_outcomes(session, german).quarantined == 1
        assert take_outcomes(session, iso).accepted == 1
        with pytest.raises(SourceError, match="columns nr, status missing from the header"):
            take_outcomes(session, other)
    day = {"source": "observed_on", "format": ["%d.%m.%Y", "%Y-%m-%d"]}
    with lender(target=target, outcomes={"observed_on": day}) as session:
        taken = take_outcomes(session, german)  # the same bytes under another rule
        assert (taken.revision, taken.accepted) == (2, 1)
    outcomes = {"key": "loan_id", "target": "is_default"}
    with lender(target=target, outcomes=outcomes) as session:
        assert take_outcomes(session, other).accepted == 1
        assert select(
            session,
            "select loan_id, is_default, observed_on::text from outcomes order by 1"
        ) == [
            [ids[0], False, None], [ids[1], False, "2026-02-01"], [ids[2], True, "2026-02-01"],
            [ids[3], False, "2026-02-01"],
        ]  # fmt: skip


def test_a_date_that_names_a_month_is_compared_with_the_month_of_the_application(
    lender: Any, tmp_path: Path
) -> None:
    loans = write(tmp_path, "night.csv", "nr,amount", "1,1", "2,1")
    told = write(tmp_path, "told.csv", "nr,status,last", "1,paid,Jan-2026", "2,paid,Dec-2025")
    with lender(outcomes={"observed_on": {"source": "last", "format": "%b-%Y"}}) as session:
        ingest_batch(session, NIGHT, loans)
        taken = take_outcomes(session, told)
        assert taken.rules == {"outcome_before_application:observed_on": 1}
        assert select(session, "select observed_on::text from outcomes") == [["2026-01-01"]]


# Monthly files of the whole book


def test_rows_that_repeat_what_counts_are_no_news(lender: Any, tmp_path: Path) -> None:
    history = labelled(tmp_path, ("paid", 20), ("bad", 10), ("current", 9))
    book = [f"{n},{'paid' if n <= 20 else 'bad' if n <= 30 else 'current'}" for n in range(1, 40)]
    with lender(target=TARGET | {"open": ["current"]}) as session:
        ingest_batch(session, "history", history)
        taken = take_outcomes(session, write(tmp_path, "feb.csv", "nr,status", *book))
        assert (taken.accepted, taken.repeated, taken.open) == (30, 30, 9)
        assert "30 accepted (30 of them known before), 9 open" in taken.sentence
        book[35] = "36,bad"
        taken = take_outcomes(session, write(tmp_path, "mar.csv", "nr,status", *book))
        assert (taken.accepted, taken.repeated, taken.loans.added) == (31, 30, 1)
        statements = "select drop_id, count(*) from outcome_revisions group by 1 order by 1"
        assert select(session, statements) == [["outcomes-history", 30], ["outcomes-mar", 1]]
        # The labels of the history are mended: what the books said still counts.
        ingest_batch(session, "history", labelled(tmp_path, ("paid", 10), ("current", 29)))
        assert select(session, "select count(*), count(*) filter (where is_default) from outcomes"
        ) == [[31, 11]]  # fmt: skip
        assert select(session, statements) == [
            ["outcomes-feb", 30], ["outcomes-history", 40], ["outcomes-mar", 31],
        ]  # fmt: skip
        withdraw_outcomes(session, "feb", "wrong", "cli:tests")
        withdraw_outcomes(session, "mar", "wrong", "cli:tests")
        assert select(session, "select count(*) from outcomes") == [[10]]
        assert select(session, "select count(*) from outcome_repeats") == [[0]]


def test_a_recovered_amount_that_changes_is_news(lender: Any, tmp_path: Path) -> None:
    outcomes = {"recovered": {"source": "back", "decimal": ","}}
    with lender(outcomes=outcomes, business={"amount": "amount_eur"}) as session:
        ingest_batch(
            session, NIGHT, write(tmp_path, "night.csv", "nr,amount", "1,100", "2,100", "3,100")
        )
        head = "nr;status;observed_on;back"
        day = "2026-02-01"
        for month, back, expected in (
            ("feb", "", (0, 0)), ("mar", "12,5", (2, 1)), ("apr", "12,50", (3, 0)),
        ):  # fmt: skip
            rows = [f"1;bad;{day};{back}", f"2;paid;{day};0", f"3;bad;{day};5"]
            taken = take_outcomes(session, write(tmp_path, f"{month}.csv", head, *rows))
            assert (taken.repeated, taken.loans.recovered) == expected
        assert select(session, "select loan_id, recovered from outcomes order by 1") == [
            [1, 12.5], [2, None], [3, 5.0],
        ]  # fmt: skip
        assert select(session, "select count(*) from outcomes_as_of(now()) where recovered > 0"
        ) == [[2]]  # fmt: skip
