"""The SQL of a scorecard gives each application the scorer's probability, in Postgres."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from loan_scoring import database, settings
from loan_scoring.cli.main import main
from loan_scoring.contract import Contract
from loan_scoring.database.session import open_session
from loan_scoring.database.types import ARROW_TYPES
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import replay_loans
from loan_scoring.models import registry
from loan_scoring.models.scorecard_sql import scorecard_sql
from loan_scoring.models.training.run import train

pytestmark = pytest.mark.integration


@pytest.fixture
def scored(new_database: Any, real_loans: Any, tmp_path: Any, monkeypatch: Any) -> Any:
    """A scorecard, trained on the history of the real loans, and all loans as applications."""
    pytest.importorskip("optbinning", reason="the extra scorecard is not installed")
    raw = yaml.safe_load((settings.portfolios_dir() / "loan_default.yaml").read_text())
    raw["training"] |= {"candidates": {"scorecard": [{"max_bins": 10}]}, "personas": 3}
    for column in raw["columns"]:
        if column["name"] in ("credit_score", "income_usd_per_month"):
            column["direction"] = "down"
        if column["name"] == "term_months":
            column["special_codes"] = [360]
    contract = Contract.model_validate(raw)
    (tmp_path / "loan_default.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    url = new_database()
    drops = replay_loans(
        contract, source=str(real_loans), nights=1, per_night=59_000, landing=tmp_path / "landing"
    )
    with open_session("loan_default", url) as session:
        ingest_batch(session, "history", drops.application_files["history"])
        for night in [name for name in drops.application_files if name != "history"]:
            ingest_batch(session, night, drops.application_files[night])
        versions, _ = train(session)
        monkeypatch.setenv("LOAN_SCORING_DATABASE_URL", url)
        yield session, versions


def test_sql_gives_every_loan_the_probability_of_the_scorer(scored: Any, capsys: Any) -> None:
    session, versions = scored
    contract = session.contract
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        # Levels and nulls that the fit has never seen, and values far out.
        change = "UPDATE {} SET {} WHERE loan_id % 50 = {}"
        for nth, text in enumerate((
            "loan_purpose = 'p''9 \\ %s'", "occupancy_type = NULL", "credit_score = NULL",
            "income_usd_per_month = -1e300", "ltv_percent = 1e300", "property_value_usd = NULL",
            "credit_bureau = NULL", "submission = 'new'", "loan_amount_usd = 9007199254740993",
        )):  # fmt: skip
            cursor.execute(change.format("loan_default.applications", text, nth))
    row = registry.model_row(session, versions["propensity"])
    card = row["evaluation"]["scorecard"]
    assert row["algorithm"] == "Scorecard"
    scorer = registry.load_scorer(session, versions["propensity"], versions["personas"])
    names = ["loan_id", *scorer.columns]
    with session.connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(names)} FROM loan_default.applications ORDER BY loan_id")
        columns = list(zip(*cursor.fetchall(), strict=True))
        statement = scorecard_sql(contract, card).as_string(session.connection)
        cursor.execute(statement.removesuffix(";") + " ORDER BY loan_id")
        found = list(zip(*cursor.fetchall(), strict=True))
    types = {name: ARROW_TYPES[contract.by_name[name].type] for name in names}
    table = pa.table({n: pa.array(v, types[n]) for n, v in zip(names, columns, strict=True)})
    scores = scorer.score(table)
    _, _, loan_ids, excluded, probability, points = found
    assert table.num_rows > 140_000
    assert list(loan_ids) == table.column("loan_id").to_pylist()
    assert list(excluded) == scores.column("exclusion_reason").to_pylist()
    assert {"no_property_value", "unpriced_bureau", "no_age", None} == {*excluded}
    expected = scores.column("default_probability").to_numpy()
    given = np.array(probability, dtype=float)
    assert (np.isnan(given) == np.isnan(expected)).all()
    assert np.nanmax(np.abs(given - expected)) < 1e-9
    odds = 1 / expected - 1
    wanted = 600 + 20 * np.log2(odds / 50)
    assert np.nanmax(np.abs(np.array(points, dtype=float) - wanted)) < 1e-9 * 600

    # The command prints the same statement, and the scorecard as JSON.
    assert main(["models", "scorecard", versions["propensity"], "--sql"]) == 0
    assert capsys.readouterr().out.strip() == statement.strip()
    assert main(["models", "scorecard", versions["propensity"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scorecard"] == card
    assert main(["models", "scorecard", versions["propensity"]]) == 0
    assert "left out" in capsys.readouterr().out
    assert main(["models", "card", versions["propensity"]]) == 0
    assert "## Scorecard" in capsys.readouterr().out
