"""Features and look-ups through every stage: the same values everywhere, and never the future."""

import csv
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from loan_scoring import database, settings
from loan_scoring.cli.main import main
from loan_scoring.contract import row_rules_sha256
from loan_scoring.database.session import Session, open_session
from loan_scoring.desk.application import read_application, score_what_if
from loan_scoring.errors import ContractError, InputError, SourceError, StateError
from loan_scoring.features.applications import read_derived, read_labelled
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.lookups import TakenLookup, take_landed_lookups, take_lookup
from loan_scoring.models import registry
from loan_scoring.models.card.content import read_card
from loan_scoring.models.card.render import render_card_markdown
from loan_scoring.models.promotion.decide import promote_by_hand
from loan_scoring.models.training.rows import freeze_rows, read_leak_report
from loan_scoring.models.training.run import train
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.scoring.batch import score_batch
from loan_scoring.scoring.file import score_file
from loan_scoring.scoring.request import score_applications

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
ROWS = 1600
HEADER = ["nr", "applied", "first", "amount", "income", "customer", "tenure", "job"]
FEATURES = [
    {"name": "amount_to_income", "label": "Amount to income", "unit": "months",
     "expression": "amount / income", "stored": True},
    {"name": "credit_months", "label": "Months since the first credit",
     "expression": "months_between(applied, first_credit)"},
    {"name": "tenure_years", "label": "Years in the job", "expression": "number_in(tenure)"},
    {"name": "is_large", "label": "Loan is large", "expression": "amount >= 10000"},
    {"name": "size", "label": "Size of the loan",
     "expression": "bucket(amount, [5000, 10000])", "stored": True},
    {"name": "late_share", "label": "Share of late loans", "expression": "late / loans"},
    {"name": "to_wage", "label": "Income to wages around", "expression": "income / wage"},
]  # fmt: skip


def contract_of(**fields: Any) -> dict[str, Any]:
    def column(source: str, name: str, type_: str, **more: Any) -> dict[str, Any]:
        return {
            "source": source,
            "name": name,
            "label": name.replace("_", " "),
            "type": type_,
        } | more

    def known(*given: Any, **more: Any) -> dict[str, Any]:
        return column(*given, known="application", **more)

    return {
        "portfolio": "shops",
        "title": "Shops",
        "owner": "tests",
        "target": {"source": "status", "positive": ["bad"], "negative": ["paid"]},
        "decision": {"approve_below": 0.1, "decline_from": 0.3},
        "training": {"candidates": {"hist_gradient_boosting": [{"max_iter": 20}]},
                     "resamples": 100, "personas": [3, 3]},
        "ingest": {"settled_seconds": 0},
        "columns": [
            known("nr", "loan_id", "integer"),
            known("applied", "applied", "date", format="%y%m%d"),
            known("first", "first_credit", "date", max_null_share=0.5),
            known("amount", "amount", "number"),
            known("income", "income", "number", max_null_share=0.5),
            known("customer", "customer", "integer", stored_only=True),
            known("tenure", "tenure", "text"),
            known("job", "job", "category", levels=["fixed", "free"]),
        ],
        "lookups": [
            {"name": "bureau", "key": {"customer": "client"}, "as_of": "applied",
             "known_at": {"source": "seen", "format": "%Y-%m-%d"},
             "columns": [column("late", "late", "integer"), column("loans", "loans", "integer")]},
            {"name": "homes", "key": {"customer": "client"}, "where": {"kind": ["OWNER"]},
             "columns": [column("district", "district", "integer", stored_only=True)]},
            {"name": "districts", "key": {"district": "A1"},
             "columns": [column("A11", "wage", "number")]},
        ],
        "features": FEATURES,
    } | fields  # fmt: skip


def write(path: Path, header: list[str], rows: list[list[Any]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


class Shops:
    """The files of a lender whose loans default by what a bureau knew before them."""

    def __init__(self, folder: Path) -> None:
        dice = np.random.default_rng(7)
        self.folder = folder
        self.loans: list[list[Any]] = []
        self.bureau: list[list[Any]] = []
        self.future: list[list[Any]] = []
        for number in range(ROWS + 200):
            is_night = number >= ROWS
            applied = date(2026, 1, 5) if is_night else date(2024, 1, 1) + timedelta(number % 700)
            late, amount = int(dice.integers(0, 4)), round(float(dice.uniform(1000, 20000)), 2)
            bad = dice.random() < 1 / (1 + np.exp(2.5 - late - amount / 20000))
            first = applied - timedelta(int(dice.integers(1, 4000)))
            income = "" if number % 19 == 0 else (0 if number % 17 == 0 else 900 + number % 1000)
            self.loans.append(
                [number + 1, f"{applied:%y%m%d}", first if number % 5 else "", amount, income,
                 10_000 + number, ["10+ years", "< 1 year", "3 years", "n/a"][number % 4],
                 ["fixed", "free"][number % 2], "bad" if bad else "paid"]
            )  # fmt: skip
            client = 10_000 + number
            self.bureau.append([client, applied - timedelta(400), 9, 9])
            self.bureau.append([client, applied - timedelta(number % 3), late, 4])
            # Known a day too late, and it tells the outcome.
            self.future.append([client, applied + timedelta(1), 99 if bad else 98, 98])
        order = dice.permutation(len(self.bureau))
        self.bureau = [self.bureau[place] for place in order]

    def write_loans(self) -> tuple[Path, Path]:
        history = write(self.folder / "history.csv", [*HEADER, "status"], self.loans[:ROWS])
        night = [row[:-1] for row in self.loans[ROWS:]]
        return history, write(self.folder / "night.csv", HEADER, night)

    def write_bureau(self, *, with_future: bool, name: str = "bureau.csv") -> Path:
        rows = self.bureau + self.future * with_future
        return write(self.folder / name, ["client", "seen", "late", "loans"], rows)

    def write_homes(self) -> Path:
        rows = []
        for number in range(ROWS + 200):
            rows += [[10_000 + number, "OWNER", number % 7], [10_000 + number, "DISPONENT", 99]]
        return write(self.folder / "homes.csv", ["client", "kind", "district"], rows)

    def write_districts(self, wage: int = 8000) -> Path:
        rows = [[district, wage + 100 * district] for district in range(7)]
        return write(self.folder / "districts.csv", ["A1", "A11"], rows)


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that writes the contract, with other fields where these are given."""
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path / "data"))

    def write_contract(**fields: Any) -> None:
        text = yaml.safe_dump(contract_of(**fields), sort_keys=False)
        (tmp_path / "shops.yaml").write_text(text)

    write_contract()
    return write_contract


@pytest.fixture
def url(new_database: Callable[..., str], declare: Callable[..., None]) -> str:
    return new_database()


@pytest.fixture
def shops(tmp_path: Path) -> Shops:
    return Shops(tmp_path)


@pytest.fixture
def session(url: str, shops: Shops) -> Iterator[Session]:
    """A session of a portfolio whose look-ups were taken, and then its history and a night."""
    with open_session("shops", url) as opened:
        for name, path in (
            ("bureau", shops.write_bureau(with_future=True)),
            ("homes", shops.write_homes()),
            ("districts", shops.write_districts()),
        ):
            take_lookup(opened, name, path, "cli:tests")
        history, night = shops.write_loans()
        ingest_batch(opened, "history", history)
        ingest_batch(opened, NIGHT, night)
        yield opened


def promoted(session: Session) -> str:
    versions, _ = train(session)
    promote_by_hand(session, versions["propensity"], "cli:tests", "a test")
    return versions["propensity"]


def night_scores(session: Session) -> dict[int, str]:
    query = f"select loan_id, default_probability from scores where batch_id = '{NIGHT}'"
    with session.connection.cursor() as cursor:
        cursor.execute(
            query + " and scoring_run_id = (select scoring_run_id from scoring_runs"
            " where is_current)"
        )
        return {loan: float(value).hex() for loan, value in cursor.fetchall()}


def bits(table: pa.Table, names: list[str]) -> list[list[Any]]:
    return [
        [
            value.hex() if isinstance(value, float) else value
            for value in table.column(n).to_pylist()
        ]
        for n in names
    ]


def test_values_and_scores_are_the_same_to_the_last_bit_in_every_way(
    session: Session, shops: Shops, tmp_path: Path
) -> None:
    promoted(session)
    score_batch(session, NIGHT)
    by_night = night_scores(session)
    assert len(by_night) == 200
    _, night = shops.write_loans()
    score_file(session, night, tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open() as file:
        by_file = {
            int(row["loan_id"]): float(row["default_probability"]).hex()
            for row in csv.DictReader(file)
        }
    assert by_file == by_night
    names = ["loan_id", "applied", "first_credit", "amount", "income", "customer", "tenure", "job"]
    applications = []
    for row in shops.loans[ROWS:]:
        values = dict(zip(names, row, strict=False))
        values["applied"] = "2026-01-05"
        values["first_credit"] = str(values["first_credit"]) or None
        values["income"] = None if values["income"] == "" else values["income"]
        applications.append(values)
    answer = score_applications(session, applications)
    assert {s["loan_id"]: s["default_probability"].hex() for s in answer.scores} == by_night
    for each, score in zip(applications[:5], answer.scores, strict=False):
        alone = score_applications(session, [each]).scores[0]
        assert alone["default_probability"] == score["default_probability"]

    features = [each["name"] for each in FEATURES]
    by_training = read_labelled(session, features)
    by_batch = read_derived(session, "history", 1, features)
    assert bits(by_training, features) == bits(by_batch, features)
    stored = ["amount_to_income", "size"]
    with session.connection.cursor() as cursor:
        cursor.execute(
            "select amount_to_income, size from applications where batch_id = 'history'"
            " order by loan_id"
        )
        rows = cursor.fetchall()
    in_table = [
        [v.hex() if isinstance(v, float) else v for v in part] for part in zip(*rows, strict=True)
    ]
    assert in_table == bits(by_batch, stored)
    for row, ratio in zip(
        shops.loans, by_batch.column("amount_to_income").to_pylist(), strict=False
    ):
        assert ratio == (row[3] / row[4] if row[4] else None)


def test_a_row_known_later_than_the_application_never_reaches_a_feature(
    session: Session, shops: Shops
) -> None:
    names = ["late", "loans", "late_share", "wage", "to_wage"]
    table = read_labelled(session, names)
    expected = {row[0]: row for row in shops.bureau if row[3] == 4}
    assert table.column("late").to_pylist() == [expected[row[5]][2] for row in shops.loans[:ROWS]]
    assert set(table.column("loans").to_pylist()) == {4}
    assert table.column("wage").to_pylist() == [8000 + 100 * (n % 7) for n in range(ROWS)]
    leaks = {each.column: each.verdict for each in read_leak_report(session).findings}
    assert leaks["late_share"] == leaks["amount_to_income"] == "clean"
    # The table again, with more rows, later: of the future, and of a past that none knew.
    more = [[10_000, "2024-06-01", 77, 77], [10_001, "1999-01-01", 55, 55]]
    path = write(shops.folder / "more.csv", ["client", "seen", "late", "loans"],
                 shops.bureau + shops.future + more)  # fmt: skip
    taken = take_lookup(session, "bureau", path, "cli:tests")
    assert (taken.added, taken.unchanged) == (2, 3 * (ROWS + 200))
    assert bits(read_labelled(session, names), names) == bits(table, names)


def test_without_the_planted_rows_everything_is_the_same(
    new_database: Callable[..., str], declare: Callable[..., None], shops: Shops
) -> None:
    found = []
    history, _ = shops.write_loans()
    for with_future in (False, True):
        with open_session("shops", new_database()) as opened:
            take_lookup(opened, "bureau", shops.write_bureau(with_future=with_future), "cli:t")
            ingest_batch(opened, "history", history)
            found.append(freeze_rows(opened).fingerprint)
    assert found[0] == found[1]


def test_a_night_stays_as_it_was_scored(session: Session, shops: Shops) -> None:
    promoted(session)
    score_batch(session, NIGHT)
    loan = shops.loans[ROWS + 1]
    before = read_application(session, loan[0])
    # A row known before the application arrives late, and the wages of a static table change.
    late = [[loan[5], "2026-01-05", 44, 4]]
    path = write(shops.folder / "late.csv", ["client", "seen", "late", "loans"], late)
    assert take_lookup(session, "bureau", path, "cli:tests").added == 1
    take_lookup(session, "districts", shops.write_districts(wage=1000), "cli:tests")
    after = read_application(session, loan[0])
    assert after.inputs == before.inputs
    assert sum(e.contribution or 0 for e in after.inputs) + (after.base or 0) == pytest.approx(
        np.log(after.score["default_probability"] / (1 - after.score["default_probability"]))
    )
    values = {each.name: each for each in after.inputs}
    assert values["wage"].value == 8000 + 100 * ((ROWS + 1) % 7)
    assert values["to_wage"].is_read
    compare_batch(session, NIGHT)
    _, rows = database.select_read_only(session.connection, "select distinct feature from drift")
    assert {"late_share", "is_large", "size", "wage"} <= {row[0] for row in rows}


def test_a_what_if_changes_inputs_and_features_follow(session: Session, shops: Shops) -> None:
    version = promoted(session)
    score_batch(session, NIGHT)
    loan = shops.loans[ROWS + 2][0]
    score = read_application(session, loan).score["default_probability"]
    _, same = score_what_if(session, loan, {}, version, "tests")
    assert same.scores[0]["default_probability"] == score
    changed, other = score_what_if(session, loan, {"amount": 19_999}, version, "tests")
    assert other.scores[0]["default_probability"] != score
    assert "amount_to_income" not in changed
    with pytest.raises(InputError) as refused:
        score_applications(session, [{"loan_id": 1, "late_share": 0.5}])
    assert "is derived from other columns" in str([each.message for each in refused.value.faults])


def test_a_changed_expression_is_told_and_waits_for_new_models(
    session: Session,
    url: str,
    declare: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    promoted(session)
    score_batch(session, NIGHT)
    before, fingerprint = night_scores(session), freeze_rows(session).fingerprint
    changed = [each | {"expression": "income / amount"} if each["name"] == "amount_to_income"
               else each for each in FEATURES if each["name"] != "is_large"]  # fmt: skip
    declare(features=changed)
    with open_session("shops", url, migrates=True) as now:
        assert row_rules_sha256(now.contract) != row_rules_sha256(session.contract)
        assert freeze_rows(now).fingerprint != fingerprint
        scorer = registry.load_scorer(now, *registry.champion_pair(now))
        night = read_derived(Session(scorer.contract, now.connection), NIGHT, 1, scorer.columns)
        again = scorer.score(night).column("default_probability").to_pylist()
        assert [value.hex() for value in again] == list(before.values())
        score_batch(now, NIGHT)
        assert "amount_to_income is amount / income in the model and income / amount" in caplog.text
        assert "is_large is amount >= 10000 in the model and not declared" in caplog.text
        assert read_application(now, ROWS + 1).base is not None
        compare_batch(now, NIGHT)
        read_card(now, registry.champion_pair(now)[0])


def test_the_card_names_features_and_their_expressions(session: Session) -> None:
    card = render_card_markdown(read_card(session, promoted(session))).replace("\\", "")
    assert "months_between(applied, first_credit)" in card
    assert "Months since the first credit" in card


def test_files_land_and_are_taken_once(
    url: str, shops: Shops, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_session("shops", url) as opened:
        folder = settings.landing_dir("shops") / "lookups" / "districts"
        folder.mkdir(parents=True)
        for name, wage in (("2025.csv", 8000), ("2026.csv", 9000)):
            shops.write_districts(wage).rename(folder / name)
        first, second = take_landed_lookups(opened, "cli:tests")
        assert (first.added, second.added, second.unchanged) == (7, 7, 0)
        assert all(each.is_unchanged for each in take_landed_lookups(opened, "cli:tests"))
    command = ["lookup", "ingest", "--portfolio", "shops", "--database", url, "--table"]
    assert main([*command, "districts"]) == 0
    assert "was taken before, nothing changed" in capsys.readouterr().out
    assert main([*command, "homes", "--source", str(shops.write_homes())]) == 0
    assert "3,600 rows, 1,800 added, 0 known before, 1,800 left out" in capsys.readouterr().out
    assert main([*command, "bureau"]) == 1
    assert "no file of look-up bureau: put one into" in capsys.readouterr().err
    assert main([*command, "nobody"]) == 1
    assert "declares no look-up 'nobody'" in capsys.readouterr().err


def bureau(session: Session, folder: Path, *rows: list[Any]) -> TakenLookup:
    path = write(folder / "some.csv", ["client", "seen", "late", "loans"], [*rows])
    return take_lookup(session, "bureau", path, "cli:tests")


def test_two_rows_of_one_moment_are_refused(url: str, tmp_path: Path) -> None:
    with open_session("shops", url) as opened:
        again = [1, "2026-01-01", 2, 3]
        assert bureau(opened, tmp_path, again, again).added == 1
        with pytest.raises(SourceError, match=r"line 3: its key and seen has other values "
                           r"in an earlier line .* nothing was taken"):  # fmt: skip
            bureau(opened, tmp_path, again, [1, "2026-01-01", 2, 4])
        with pytest.raises(
            SourceError, match=r"in an earlier delivery .* give a corrected row the"
        ):
            bureau(opened, tmp_path, [1, "2026-01-01", 0, 3])
        assert bureau(opened, tmp_path, again, [1, "2026-01-02", 0, 3]).added == 1
        homes = write(tmp_path / "h.csv", ["client", "kind", "district"],
                      [[1, "OWNER", 1], [1, "OWNER", 2]])  # fmt: skip
        with pytest.raises(SourceError, match=r"its key has other values .* declare known_at, or"):
            take_lookup(opened, "homes", homes, "cli:tests")


def test_rows_that_break_a_rule_are_counted_and_not_taken(url: str, tmp_path: Path) -> None:
    good = [[number, "2026-01-01", 1, 2] for number in range(50)]
    with open_session("shops", url) as opened:
        taken = bureau(opened, tmp_path, *good, ["", "2026-01-01", 1, 2], [99, "soon", 1, 2],
                       [98, "", 1, 2], [97, "2026-02-30", "x", 2])  # fmt: skip
        assert (taken.received, taken.added) == (54, 50)
        assert taken.refused == {"null_key:customer": 1, "not_a_date:known_at": 2,
                                 "null_date:known_at": 1}  # fmt: skip
        with pytest.raises(SourceError, match=r"3 of 4 rows break a rule .*max_quarantined_share"):
            bureau(opened, tmp_path, good[0], *[[number, "soon", 1, 2] for number in range(3)])


def test_history_needs_dates_of_its_own(
    url: str, declare: Callable[..., None], shops: Shops
) -> None:
    raw = contract_of()["lookups"]
    del raw[0]["as_of"]
    declare(lookups=raw)
    with open_session("shops", url) as opened:
        take_lookup(opened, "bureau", shops.write_bureau(with_future=True), "cli:tests")
        history, night = shops.write_loans()
        ingest_batch(opened, NIGHT, night)
        late = read_derived(opened, NIGHT, 1, ["late"]).column("late").to_pylist()
        assert max(late) < 9  # the business date, 2026-01-05, stands for the date
        ingest_batch(opened, "history", history)
        with pytest.raises(StateError, match=r"name the column with their date in lookups.bureau"):
            train(opened)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"key": {"nobody": "client"}}, "key: no column above is named 'nobody'"),
        ({"key": {"amount": "client"}}, "amount is a number"),
        ({"as_of": "income"}, "income is a number; use one of date, datetime"),
        ({"known_at": None}, "as_of needs known_at"),
        ({"columns": [{"source": "a", "name": "income", "label": "A", "type": "number"}]},
         "'income' is declared twice"),
        ({"columns": [{"source": "a", "name": "a", "label": "A", "type": "number",
                       "max_null_share": 0.1}]}, "has no effect in a look-up"),
        ({"name": "homes"}, "'homes' is declared twice"),
    ],
)  # fmt: skip
def test_a_wrong_lookup_is_one_line(
    declare: Callable[..., None], changes: dict[str, Any], reason: str
) -> None:
    from loan_scoring import contract as contracts

    first, *others = contract_of()["lookups"]
    declare(lookups=[first | changes, *others])
    with pytest.raises(ContractError, match=reason) as refused:
        contracts.load("shops")
    assert "\n" not in str(refused.value)


def test_a_stored_feature_may_be_given_up(
    session: Session, url: str, declare: Callable[..., None]
) -> None:
    declare(features=[each | {"stored": False} for each in FEATURES])
    with open_session("shops", url, migrates=True) as now:
        count = "select count(*) from information_schema.columns where column_name = 'size'"
        _, rows = database.select_read_only(now.connection, count)
        assert rows == [["0"]] or rows == [[0]]
        assert read_derived(now, NIGHT, 1, ["size"]).num_rows == 200
