"""Quality: a batch is checked by the contract, then refused, published with alerts, or clean."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy.pool import StaticPool

from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import SourceError
from loan_scoring.ingest.batches import check_batch, ingest_batch, land_batch
from loan_scoring.ingest.quality import great_expectations
from loan_scoring.ingest.quality.expectations import (
    Expectation,
    critical_null_shares,
    derive_expectations,
)
from loan_scoring.lab.replay import Replay
from loan_scoring.lab.scenarios import is_null_text

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
Change = Callable[[pd.DataFrame], pd.DataFrame]


def select(session: Session, query: str) -> list[list]:
    return database.select_read_only(session.connection, query)[1]


def changed(source: Path, target: Path, change: Change) -> Path:
    """Copy a file with changed rows; the text of other values stays the same."""
    change(pd.read_csv(source, dtype=str, keep_default_na=False)).to_csv(target, index=False)
    return target


def blank(column: str, share: float) -> Change:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[: int(len(rows) * share) - 1, column] = ""
        return rows

    return change


@pytest.fixture(scope="module")
def three_nights_url(new_database: Callable[..., str], drops: Replay) -> str:
    url = new_database()
    with open_session("loan_default", url) as session:
        for batch_id in drops.batch_ids[:3]:
            ingest_batch(session, batch_id, drops.application_files[batch_id])
    return url


@pytest.fixture
def three_nights(new_database: Callable[..., str], three_nights_url: str) -> Iterator[Session]:
    with open_session("loan_default", new_database(template=three_nights_url)) as session:
        yield session


def test_suite_derives_from_the_contract(loan_default: Contract) -> None:
    suite = derive_expectations(loan_default, 1000, [1000, 900, 1100])
    names = {each.name for each in suite}
    assert len(names) == len(suite)
    judged = [column.name for column in loan_default.monitored if column.max_null_share < 1]
    wanted = {"schema", "row_count", "volume", "volume_critical", "unique:loan_id"}
    wanted |= {f"null_share:{name}" for name in judged}
    for column in loan_default.columns:
        if column.levels:
            wanted.add(f"{'open_levels' if column.open_levels else 'levels'}:{column.name}")
        if column.range:
            wanted.add(f"range:{column.name}")
    assert names == wanted
    assert {each.rule for each in suite if each.severity == "warning"} == {
        "volume", "null_share", "open_levels",
    }  # fmt: skip
    grave = critical_null_shares(loan_default, 1000, judged)
    assert {(each.name, each.severity) for each in grave} == {
        (f"null_share_critical:{name}", "critical") for name in judged
    }


def test_limits_are_the_contract_s_or_what_chance_explains(loan_default: Contract) -> None:
    def limits(rows: int, volumes: list[int]) -> dict[str, dict]:
        suite = derive_expectations(loan_default, rows, volumes)
        suite += critical_null_shares(loan_default, rows, list(loan_default.by_name))
        return {each.name: each.limits for each in suite}

    many = limits(1_000_000, [1000, 1000, 1000])
    assert many["volume_critical"] == {"min_value": 200, "max_value": 5000}
    assert many["volume"] == {"min_value": 500, "max_value": 2000}
    (column,) = [each for each in loan_default.monitored if each.max_null_share == 0.15]
    assert many[f"null_share:{column.name}"]["mostly"] == pytest.approx(0.85, abs=0.002)
    assert many[f"null_share_critical:{column.name}"]["mostly"] == pytest.approx(0.425)
    one = limits(1, [4, 3, 5])
    assert one[f"null_share_critical:{column.name}"]["mostly"] == 0
    assert one["volume_critical"]["min_value"] == 0


def test_nothing_is_expected_of_the_volume_of_history_and_first_nights(
    three_nights: Session, drops: Replay
) -> None:
    assert select(three_nights, "select count(*) from quality where expectation ~ '^volume'") == [
        [0]
    ]
    fourth = drops.batch_ids[3]
    ingest_batch(three_nights, fourth, drops.application_files[fourth])
    assert select(
        three_nights, "select batch_id, expectation, observed from quality"
        " where expectation ~ '^volume' order by 2"
    ) == [[fourth, "volume", 1000], [fourth, "volume_critical", 1000]]  # fmt: skip
    ingest_batch(three_nights, "history", drops.application_files["history"])
    assert select(
        three_nights, "select count(*) from quality where batch_id = 'history'"
        " and expectation ~ '^volume'"
    ) == [[0]]  # fmt: skip


@pytest.mark.attack
def test_a_file_that_declares_too_many_rows_is_refused_before_it_is_copied(
    three_nights: Session, drops: Replay, tmp_path: Path
) -> None:
    fourth = drops.batch_ids[3]
    rows = pd.read_csv(drops.application_files[fourth], dtype=str, keep_default_na=False)
    path = tmp_path / f"{fourth}.parquet"
    pd.concat([rows] * 6).to_parquet(path)
    with pytest.raises(SourceError, match="the file declares 6,000 rows; after the last nights at"):
        ingest_batch(three_nights, fourth, path)
    assert select(three_nights, "select count(*) from batches where received > 3000") == [[0]]
    pd.concat([rows] * 5).to_parquet(path)  # with 10 % in quarantine it may be within 5 times
    with pytest.raises(SourceError) as judged:
        ingest_batch(three_nights, fourth, path)
    assert "the file declares" not in str(judged.value)


def test_clean_night_meets_every_expectation(empty: Session, drops: Replay) -> None:
    ingest_batch(empty, NIGHT, drops.application_files[NIGHT])
    found = select(
        empty, "select severity, is_success, count(*) from quality group by 1, 2 order by 1"
    )
    suite = derive_expectations(empty.contract, 1000, [])
    counted = Counter(each.severity for each in suite)
    assert found == [[name, True, counted[name]] for name in ("critical", "warning")]
    assert select(empty, "select count(*) from alerts") == [[0]]


def test_observed_values_are_those_of_the_file(
    empty: Session, drops: Replay, tmp_path: Path
) -> None:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[:249, "income"] = ""
        rows.loc[100:129, "loan_purpose"] = "p5"
        return rows

    path = changed(drops.application_files[NIGHT], tmp_path / "x.csv", change)
    ingest_batch(empty, NIGHT, path)
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    found = {
        name: (observed, unexpected)
        for name, observed, unexpected in select(
            empty, "select expectation, observed, unexpected_count from quality"
        )
    }
    assert found.pop("schema") == (None, None)
    assert found.pop("row_count") == (len(rows), None)
    assert found.pop("unique:loan_id") == (rows["ID"].nunique() / len(rows), None)
    expected = {}
    for column in empty.contract.columns:
        texts = rows[column.source]
        nulls = texts.map(lambda text, column=column: is_null_text(column, text))
        if column.name != "loan_id" and column.is_known_at_application:
            expected[f"null_share:{column.name}"] = nulls
            if nulls.mean() > column.max_null_share:
                expected[f"null_share_critical:{column.name}"] = nulls
        if column.levels:
            rule = "open_levels" if column.open_levels else "levels"
            expected[f"{rule}:{column.name}"] = ~nulls & ~texts.isin(column.levels)
        if column.range:
            low, high = column.range
            numbers = pd.to_numeric(texts.mask(nulls))
            outside = (numbers < low) if low is not None else numbers.isna() & False
            expected[f"range:{column.name}"] = outside | ((numbers > high) if high else False)
    assert found == {name: (mask.sum() / len(rows), mask.sum()) for name, mask in expected.items()}


def by_its_own_queries(session: Session, batch_id: str, suite: list[Expectation]) -> list[tuple]:
    """Return name, success, observed value and unexpected rows as Great Expectations finds them.

    It plans and runs its own queries here, over a view of the first revision of a batch.
    """
    import great_expectations as gx

    connection = database.connect_beside(session.connection)
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY VIEW revision_1 AS SELECT * FROM applications"
            " WHERE batch_id = %s AND revision = 1",
            (batch_id,),
        )
        connection.commit()
        context: Any = gx.get_context(mode="ephemeral")
        context.enable_analytics(False)
        context.variables.progress_bars = {"globally": False}
        source = context.data_sources.add_postgres(
            "own",
            connection_string="postgresql+psycopg2://session@localhost/session",
            kwargs={"creator": lambda: connection, "poolclass": StaticPool},
        )
        batch = (
            source.add_table_asset("revision", table_name="revision_1")
            .add_batch_definition_whole_table("revision")
            .get_batch()
        )
        expectations = [great_expectations.configuration(each) for each in suite]
        outcome = batch.validate(gx.ExpectationSuite("own", expectations=expectations))
    found = {each.expectation_config.meta["name"]: each for each in outcome.results}
    return [
        (name, each.success, each.result.get("observed_value"), each.result.get("unexpected_count"))
        for name in (one.name for one in suite)
        for each in [found[name]]
    ]


@pytest.mark.filterwarnings("ignore")
def test_great_expectations_finds_the_same_by_its_own_queries(three_nights: Session) -> None:
    batch_id = select(three_nights, "select min(batch_id) from batches where batch_id <> 'history'")
    [[night]] = batch_id
    [[rows]] = select(
        three_nights, f"select accepted from batches where batch_id = '{night}' and revision = 1"
    )
    contract = three_nights.contract
    suite = derive_expectations(contract, rows, [rows, rows, 10 * rows], night)
    harder: dict[str, dict[str, Any]] = {
        "null_share": {"mostly": 1.0},
        "levels": {"value_set": ["another"]},
        "open_levels": {"value_set": ["another"]},
        "range": {"min_value": None, "max_value": 0},
        "schema": {"column_set": ["loan_id", "more"]},
        "volume": {"min_value": rows + 1, "max_value": rows + 2},
    }
    hard = [
        replace(each, limits=each.limits | harder[each.rule])
        for each in suite
        if each.rule in harder and contract_type(contract, each) not in ("date", "timestamp")
    ]
    for expected in (suite, hard):
        verdicts, page = great_expectations.validate_revision(three_nights, night, 1, expected)
        theirs = by_its_own_queries(three_nights, night, expected)
        for ours, (name, is_success, observed, unexpected) in zip(verdicts, theirs, strict=True):
            assert (ours.expectation.name, ours.is_success) == (name, is_success)
            assert ours.unexpected_count == unexpected, name
            if ours.expectation.rule != "schema" and observed is not None:
                assert ours.observed == pytest.approx(observed), name
        assert f">{len(verdicts)}<" in re.sub(r"\s", "", page)
    failed = {each.expectation.rule for each in verdicts if not each.is_success}
    assert failed == {each.rule for each in hard}
    assert {"null_share", "open_levels", "range", "schema", "volume"} <= failed


def contract_type(contract: Contract, expectation: Expectation) -> str | None:
    column = contract.by_name.get(expectation.column or "")
    return column.type if column else None


def test_collapsed_volume_is_refused(three_nights: Session, drops: Replay, tmp_path: Path) -> None:
    fourth = drops.batch_ids[3]
    path = changed(drops.application_files[fourth], tmp_path / "x.csv", lambda rows: rows[:100])
    for _ in range(2):
        with pytest.raises(SourceError, match="has 100 rows, expected 200 to 5,000") as caught:
            ingest_batch(three_nights, fourth, path)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(f"batch {fourth} refused: {path}: ")
    with pytest.raises(SourceError, match="revision 1 was refused"):
        check_batch(three_nights, fourth, 1)
    ours = f"where batch_id = '{fourth}'"
    assert select(three_nights, f"select revision, state, is_current from batches {ours}") == [
        [1, "refused", False]
    ]
    assert select(three_nights, f"select count(*) from applications {ours}") == [[0]]
    assert select(
        three_nights, f"select expectation, observed from quality {ours} and not is_success"
        " order by severity"
    ) == [["volume_critical", 100], ["volume", 100]]  # fmt: skip
    assert select(three_nights, "select severity, kind, subject from open_alerts") == [
        ["critical", "quality", "batch"]
    ]


def test_corrected_file_resolves_the_alert(
    three_nights: Session, drops: Replay, tmp_path: Path
) -> None:
    fourth = drops.batch_ids[3]
    source = drops.application_files[fourth]
    path = changed(source, tmp_path / "x.csv", lambda rows: rows[:100])
    with pytest.raises(SourceError):
        ingest_batch(three_nights, fourth, path)
    assert ingest_batch(three_nights, fourth, source).revision == 2
    assert select(three_nights, "select revision, state, changed_by from alerts") == [
        [1, "resolved", "quality"]
    ]


def test_burst_of_nulls_is_published_and_raises_one_alert(
    empty: Session, drops: Replay, tmp_path: Path
) -> None:
    path = changed(drops.application_files[NIGHT], tmp_path / "x.csv", blank("income", 0.25))
    ingest_batch(empty, NIGHT, path)
    assert select(empty, "select state from batches") == [["published"]]
    ((severity, kind, subject, message),) = select(
        empty, "select severity, kind, subject, message from open_alerts"
    )
    assert (severity, kind, subject) == ("warning", "quality", "income_usd_per_month")
    missing = pd.read_csv(path)["income"].isna().mean()
    assert message.startswith(
        f"Monthly income (income_usd_per_month) is missing in {missing:.1%} of 1,000 rows"
    )
    assert select(empty, "select open_alerts from batch_health") == [[1]]


def test_column_that_is_all_null_is_refused_and_nothing_is_published(
    empty: Session, drops: Replay, tmp_path: Path
) -> None:
    source = drops.application_files[NIGHT]
    ingest_batch(empty, NIGHT, source)
    path = changed(source, tmp_path / "x.csv", blank("Credit_Score", 1))
    with pytest.raises(SourceError, match=r"Credit score .* is missing in 100\.0% of 1,000 rows"):
        ingest_batch(empty, NIGHT, path)
    assert select(empty, "select revision, state, is_current from batches order by revision") == [
        [1, "published", True],
        [2, "refused", False],
    ]
    assert select(empty, "select revision, count(*) from applications group by 1") == [[1, 1000]]
    assert select(empty, "select count(credit_score) from current_applications") == [[1000]]


@pytest.mark.attack
def test_unknown_level_of_an_open_column_is_published_and_named(
    empty: Session, drops: Replay, tmp_path: Path
) -> None:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[[3, 4, 5], "loan_purpose"] = ["p9", "p9", "o'p"]
        return rows

    path = changed(drops.application_files[NIGHT], tmp_path / "x.csv", change)
    assert ingest_batch(empty, NIGHT, path).accepted == 1000
    assert select(empty, "select severity, message from open_alerts") == [
        [
            "warning",
            "Purpose of the loan (loan_purpose) has levels that the contract does not know: "
            "a text of 2 characters (letters, digits), a text of 3 characters (letters, signs) "
            "(3 of 1,000 rows)",
        ]
    ]


def test_another_check_writes_the_same_rows(empty: Session, drops: Replay, tmp_path: Path) -> None:
    path = changed(drops.application_files[NIGHT], tmp_path / "x.csv", blank("income", 0.25))
    land_batch(empty, NIGHT, path)
    queries = [
        "select to_jsonb(q) - 'judged_at' from quality q order by expectation",
        "select a::text from alerts a",
    ]
    check_batch(empty, NIGHT, 1)
    before = [select(empty, query) for query in queries]
    check_batch(empty, NIGHT, 1)
    assert [select(empty, query) for query in queries] == before


@pytest.mark.attack
def test_page_has_no_value_of_an_applicant_and_calls_no_other_host(
    empty: Session, drops: Replay, tmp_path: Path
) -> None:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[3, "loan_purpose"] = "<script>alert(1)</script>"
        return rows

    path = changed(drops.application_files[NIGHT], tmp_path / "x.csv", change)
    ingest_batch(empty, NIGHT, path)
    page = settings.quality_page_path("loan_default", NIGHT, 1)
    text = page.read_text()
    assert "alert(1)" not in text
    assert "default-src 'none'" in text
    assert "loan_purpose" in text
    assert not re.search(r"https?://|<script|<link|<img|onclick|index\.html", text)
    assert text.count("fa-check-circle") > 10  # a style of the page shows the status
    assert "td .fa-check-circle::before" in text
    assert list(page.parent.glob("*.part")) == []
