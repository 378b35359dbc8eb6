"""A contract that was wrong is mended, and the same file is read anew, without work by hand."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from loan_scoring import database
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import DatabaseError, SourceError
from loan_scoring.ingest.batches import ingest_batch, land_batch
from loan_scoring.ingest.corrections import replay_corrections
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.ingest.spreadsheet import export_quarantine

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
COLUMNS = [
    {"source": "nr", "name": "loan_id", "type": "integer"},
    {"source": "amount", "name": "amount_eur", "type": "number", "range": [0, None]},
    {"source": "job", "name": "job", "type": "category", "levels": ["fixed", "freelance"]},
]
TARGET = {"source": "status", "positive": ["bad"], "negative": ["paid"]}
Open = Callable[..., object]


@pytest.fixture
def portfolio(
    tmp_path: Path, new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> Open:
    """Return a function that writes a contract and opens a session with it."""
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    url = new_database()

    @contextmanager
    def enter(target: dict = TARGET, **changes: dict | None) -> Iterator[Session]:
        columns = [
            {"label": each["name"], "known": "application"}
            | each
            | (changes.get(each["name"]) or {})
            for each in COLUMNS
            if changes.get(each["name"], {}) is not None
        ]
        raw = {
            "portfolio": "lender", "title": "t", "owner": "risk", "target": target,
            "columns": columns, "decision": {"approve_below": 0.1, "decline_from": 0.3},
        }  # fmt: skip
        (tmp_path / "lender.yaml").write_text(yaml.safe_dump(raw))
        with open_session("lender", url, migrates=True) as session:
            yield session

    return enter


@pytest.fixture
def loans(tmp_path: Path) -> Path:
    path = tmp_path / "loans.csv"
    rows = [f"{n},{n}.50,fixed,{'bad' if n % 3 == 0 else 'paid'}" for n in range(1, 31)]
    path.write_text("\n".join(["nr,amount,job,status", *rows]) + "\n")
    return path


def select(session: Session, query: str) -> list[list]:
    return database.select_read_only(session.connection, query)[1]


# The type of a column


def test_type_of_a_column_that_was_never_published_is_mended(portfolio: Open, loans: Path) -> None:
    with portfolio(amount_eur={"type": "integer"}) as session:
        with pytest.raises(SourceError, match="not_a_number:amount_eur 30"):
            ingest_batch(session, NIGHT, loans)
        with database.transaction(session.connection), session.connection.cursor() as cursor:
            cursor.execute("grant select on current_applications to public")
    with portfolio() as session:
        assert ingest_batch(session, NIGHT, loans).accepted == 30
        assert select(session, "select min(amount_eur), max(amount_eur) from current_applications"
        ) == [[1.5, 30.5]]  # fmt: skip
        assert select(
            session,
            "select has_table_privilege('loan_scoring_reader', 'current_applications', 'select'),"
            " relacl::text like '%=r/%',"
            " obj_description(oid) is not null"
            " from pg_class where relname = 'current_applications'",
        ) == [[True, True, True]]


def test_column_that_was_added_wrongly_is_mended_beside_published_rows(
    portfolio: Open, loans: Path, tmp_path: Path
) -> None:
    later = tmp_path / "later.csv"
    with portfolio(amount_eur=None) as session:
        ingest_batch(session, NIGHT, loans)
    with portfolio(amount_eur={"type": "integer"}) as session:
        later.write_text("nr,amount,job\n" + "".join(f"{n},{n}.5,fixed\n" for n in range(50, 60)))
        with pytest.raises(SourceError, match="not_a_number"):
            ingest_batch(session, "2026-01-06", later)
    with portfolio() as session:
        assert ingest_batch(session, "2026-01-06", later).accepted == 10
        assert select(session, "select count(*), count(amount_eur) from current_applications") == [
            [40, 10]
        ]


def test_renamed_and_landed_columns_are_free_until_a_row_is_published(
    portfolio: Open, loans: Path
) -> None:
    with portfolio() as session:
        land_batch(session, NIGHT, loans)
    with portfolio(amount_eur={"name": "amount_usd"}) as session:
        assert select(session, "select state from batches") == [["refused"]]
        assert select(session, "select count(*) from applications") == [[0]]
        ingest_batch(session, NIGHT, loans)
        assert select(session, "select sum(amount_usd) from current_applications") == [[480.0]]
    with (
        pytest.raises(DatabaseError, match="has column amount_usd, the contract does not"),
        portfolio(amount_eur={"name": "amount_chf"}),
    ):
        pass


@pytest.mark.parametrize("change", [{"type": "category", "open_levels": True, "range": None}, None])
def test_published_column_keeps_its_type(portfolio: Open, loans: Path, change: dict | None) -> None:
    with portfolio() as session:
        ingest_batch(session, NIGHT, loans)
    with pytest.raises(DatabaseError, match="write a migration"), portfolio(amount_eur=change):
        pass
    with portfolio() as session:
        assert select(session, "select count(amount_eur) from current_applications") == [[30]]


# The target


SWAPPED = TARGET | {"positive": ["paid"], "negative": ["bad"]}


def test_history_is_read_anew_under_another_target(portfolio: Open, loans: Path) -> None:
    with portfolio(SWAPPED) as session:
        assert land_batch(session, "history", loans).revision == 1
        ingest_batch(session, "history", loans)
        assert ingest_batch(session, "history", loans).is_unchanged
        assert select(session, "select count(*) from outcomes where is_default") == [[20]]
    with portfolio() as session:
        landed = ingest_batch(session, "history", loans)
        assert (landed.revision, landed.is_unchanged) == (2, False)
        assert select(session, "select count(*) from outcomes where is_default") == [[10]]
        assert ingest_batch(session, "history", loans).is_unchanged


def test_night_and_the_order_of_texts_do_not_depend_on_the_target(
    portfolio: Open, loans: Path
) -> None:
    with portfolio(TARGET | {"negative": ["paid", "closed"]}) as session:
        ingest_batch(session, "history", loans)
        loans.write_text("nr,amount,job\n101,5,fixed\n102,6,freelance\n")
        ingest_batch(session, NIGHT, loans)
    with portfolio(TARGET | {"negative": ["closed", "paid"]}) as session:
        assert ingest_batch(session, NIGHT, loans).is_unchanged
    with portfolio(SWAPPED) as session:
        assert ingest_batch(session, NIGHT, loans).is_unchanged


def test_file_of_outcomes_is_read_anew_under_another_target(
    portfolio: Open, loans: Path, tmp_path: Path
) -> None:
    told = tmp_path / "told.csv"
    told.write_text("nr,status,observed_on\n1,repaid,2026-03-01\n2,paid,2026-03-01\n")
    with portfolio() as session:
        ingest_batch(session, NIGHT, loans)
        assert take_outcomes(session, told).accepted == 1
        assert take_outcomes(session, told).is_unchanged
    with portfolio(TARGET | {"negative": ["paid", "repaid"]}) as session:
        taken = take_outcomes(session, told)
        assert (taken.revision, taken.accepted, taken.is_unchanged) == (2, 2, False)
        assert take_outcomes(session, told).is_unchanged


def test_corrections_of_history_do_not_hide_another_target(
    portfolio: Open, loans: Path, tmp_path: Path
) -> None:
    corrected = tmp_path / "corrected.csv"
    loans.write_text(loans.read_text().replace("3.50", "x", 1))
    with portfolio(SWAPPED) as session:
        ingest_batch(session, "history", loans)
        with corrected.open("w", newline="") as out:
            export_quarantine(session, "history", out)
        corrected.write_text(corrected.read_text().replace(",x,", ",3.5,"))
        replay_corrections(session, "history", corrected)
        assert ingest_batch(session, "history", loans).is_unchanged
    with portfolio(SWAPPED, amount_eur={"range": [1, None]}) as session:
        assert ingest_batch(session, "history", loans).is_unchanged
    with portfolio() as session:
        assert not land_batch(session, "history", loans).is_unchanged
