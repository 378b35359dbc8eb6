"""Fixtures of all tests: contracts, real or generated loans, trained models, sessions."""

import csv
import gzip
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from loan_scoring import contract as contracts
from loan_scoring import database
from loan_scoring.contract import KEY, Contract
from loan_scoring.database.applications import labelled_applications
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay, replay_loans
from loan_scoring.models import registry
from loan_scoring.models.encoding import feature_frame
from loan_scoring.models.fitted import FittedModel
from loan_scoring.models.holdout import split_holdout
from loan_scoring.models.promotion.decide import promote_by_gates, promote_by_hand
from loan_scoring.models.scorer import exclusion_reasons
from loan_scoring.models.training.run import train
from loan_scoring.scoring.batch import score_batch

pytest_plugins = ["workers", "databases"]
# As modules with doctests they would all be looked for under one name; those of Flower need its
# environment.
collect_ignore_glob = ["*conftest.py", "federated/*"]
REPOSITORY = Path(__file__).resolve().parents[1]
NIGHT = "2026-01-05"
"""The first night of the replayed loans."""

SAMPLE_ROWS = 16_000
"""Loans, real or generated, that tests work on: enough for an honest model, not more."""

LIGHT = {
    "logistic_regression": [{"C": 1.0}],
    "random_forest": [{"n_estimators": 20, "min_samples_leaf": 10}],
    "hist_gradient_boosting": [{"max_iter": 60, "learning_rate": 0.1}],
    "xgboost": [{"n_estimators": 60, "max_depth": 4, "learning_rate": 0.1}],
}
"""Every algorithm once and small: dozens of tests train."""


@pytest.fixture(scope="session")
def loan_default() -> Contract:
    return contracts.load("loan_default")


@pytest.fixture(scope="session")
def real_loans() -> Path:
    """The real file of 148,670 loans."""
    source = os.environ.get("LOAN_SCORING_SOURCE")
    if not source:
        pytest.skip("LOAN_SCORING_SOURCE does not name the real loan file")
    return Path(source)


@pytest.fixture(scope="session")
def labelled_loans(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """A part of the real file, or None, for a generated one, where the real one is not here."""
    source = os.environ.get("LOAN_SCORING_SOURCE")
    if not source:
        return None
    part = tmp_path_factory.mktemp("source") / "loans.csv"
    with gzip.open(source, "rt", newline="") as whole, part.open("w", newline="") as out:
        csv.writer(out).writerows(itertools.islice(csv.reader(whole), SAMPLE_ROWS + 1))
    return part


@pytest.fixture(scope="session", autouse=True)
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep all state of the tests away from the checkout's own, and train on a light grid."""
    root = tmp_path_factory.mktemp("loan-scoring")
    names = {
        "LOAN_SCORING_STATE": "state",
        "LOAN_SCORING_DATA": "data",
        "LOAN_SCORING_PORTFOLIOS": "portfolios",
    }
    shutil.copytree(REPOSITORY / "include" / "portfolios", root / "portfolios")
    path = root / "portfolios" / "loan_default.yaml"
    raw = yaml.safe_load(path.read_text())
    raw["training"] |= {"candidates": LIGHT, "personas": [3, 5]}
    for column in raw["columns"]:  # without directions, so that every algorithm may be tried
        column.pop("direction", None)
    for field in ("shadow_nights", "shadow_runner_up"):  # tests of shadows ask for them
        raw["promotion"].pop(field)
    raw.pop("federated")  # tests of sites ask for it
    # Tests that write a file take it at once; what settles is tested with contracts of its own.
    raw.setdefault("ingest", {})["settled_seconds"] = 0
    raw["replay"]["generated_rows"] = SAMPLE_ROWS
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    before = {name: os.environ.get(name) for name in [*names, "LOAN_SCORING_DATABASE_URL"]}
    for name, folder in names.items():
        os.environ[name] = str(root / folder)
    os.environ.pop("LOAN_SCORING_DATABASE_URL", None)
    yield root
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def lenient_portfolios(folders: Path) -> Path:
    """A folder of contracts whose gates a tenth of the loans does not fail by noise."""
    raw = yaml.safe_load((folders / "portfolios" / "loan_default.yaml").read_text())
    raw["promotion"]["calibration_slope"] = [0.5, 2]
    raw["promotion"]["fairness"]["min_ratio"] = 0.5
    raw["desk"]["four_eyes_above"] = 1_000_000
    (folders / "lenient").mkdir()
    (folders / "lenient" / "loan_default.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return folders / "lenient"


@pytest.fixture(scope="session")
def drops(loan_default: Contract, labelled_loans: Path | None, folders: Path) -> Replay:
    """History and four nights of 1,000 loans, the last one with an income shock."""
    return replay_loans(
        loan_default,
        source=str(labelled_loans) if labelled_loans else None,
        nights=4,
        per_night=1000,
        scenarios={4: ["income_shock"]},
        landing=folders / "data" / "landing" / "loan_default",
    )


@dataclass(frozen=True)
class Trained:
    """A database with history and champions, to be copied."""

    url: str
    versions: dict[str, str]


@pytest.fixture(scope="session")
def trained(built_once: Callable[..., tuple[str, Any]], drops: Replay) -> Trained:
    def build(url: str) -> dict[str, str]:
        with open_session("loan_default", url) as session:
            ingest_batch(session, "history", drops.application_files["history"])
            versions, _ = train(session, "cli:trainer")
            # A small part of the loans may fail a gate by noise.
            if promote_by_gates(session, versions) == "refused":
                promote_by_hand(session, versions["propensity"], "cli:tests", "a small sample")
        return versions

    return Trained(*built_once("trained", build))


@pytest.fixture
def ready(new_database: Callable[..., str], trained: Trained) -> Iterator[Session]:
    """A session on a copy of the trained database: history is in, champions are in use."""
    with open_session("loan_default", new_database(template=trained.url)) as session:
        yield session


@pytest.fixture(scope="session")
def night_scored(
    built_once: Callable[..., tuple[str, Any]], trained: Trained, drops: Replay
) -> str:
    """The URL of a database whose first night is scored, to be copied."""

    def build(url: str) -> None:
        with open_session("loan_default", url) as session:
            ingest_batch(session, NIGHT, drops.application_files[NIGHT])
            score_batch(session, NIGHT)

    return built_once("night_scored", build, template=trained.url)[0]


@pytest.fixture
def scored(new_database: Callable[..., str], night_scored: str) -> Iterator[Session]:
    """A session on a copy of the database whose first night, `NIGHT`, is scored."""
    with open_session("loan_default", new_database(template=night_scored)) as session:
        yield session


Show = Callable[..., None]


@pytest.fixture
def show(ready: Session) -> Show:
    """Enter nights as scored and measured, with the causes that they show, without their loans."""

    def enter(batch_id: str, *causes: str, is_mature: bool = False) -> None:
        with database.transaction(ready.connection), ready.connection.cursor() as cursor:
            cursor.execute(
                """
                insert into batches
                select (jsonb_populate_record(b, jsonb_build_object('batch_id', %(night)s))).*
                from batches as b where batch_id = 'history'
                on conflict do nothing;
                insert into scoring_runs (scoring_run_id, batch_id, revision, propensity_version,
                    personas_version, state, is_current, applications, scored, referred,
                    published_at)
                values (%(night)s, %(night)s, 1, 'propensity-1', 'personas-1', 'published', true,
                    1000, 1000, 0, now())
                on conflict do nothing;
                insert into drift
                select %(night)s, kind, 'any', 'ks', 0, 0, 0, 0, 0, 'stable'
                from unnest(%(kinds)s) as kind
                on conflict do nothing;
                insert into findings
                select %(night)s, cause, 'warning', '{any}', 'shown', '{}'
                from unnest(%(causes)s::text[]) as cause
                on conflict do nothing
                """,
                {
                    "night": batch_id,
                    "kinds": ["data", "model"] if is_mature else ["data"],
                    "causes": list(causes),
                },
            )

    return enter


@pytest.fixture
def challenge(ready: Session) -> Callable[..., dict[str, str]]:
    """Register one more pair, which a test makes as good or bad as it wants; return its versions.

    The propensity model is plain gradient boosting on the columns `chosen`, all features unless
    given, with other parameters; the personas are those of the first pair.
    """
    contract = ready.contract
    table = labelled_applications(ready, [c.name for c in contract.monitored])
    y = table.column("is_default").to_numpy().astype(int)
    training, _ = split_holdout(contract, table.column(KEY))
    judged = exclusion_reasons(contract, table).is_null().to_numpy(zero_copy_only=False)
    learn = training[judged[training]]
    people = registry.model_row(ready, "personas-1")
    clusters = registry.model_estimator(ready, people)

    def go(
        name: str,
        chosen: list[str] | None = None,
        triggered_by: str | None = None,
        **parameters: Any,
    ) -> dict[str, str]:
        used = chosen or registry.model_row(ready, "propensity-1")["features"]
        X = feature_frame(table, contract, used).iloc[learn]
        numbers = [column for column in used if contract.by_name[column].is_numeric]
        categories = [column for column in used if column not in numbers]
        encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
        steps = [("numbers", "passthrough", numbers), ("categories", encode, categories)]
        boost = {"max_iter": 200, "learning_rate": 0.06, "random_state": 1, **parameters}
        model = Pipeline(
            [
                ("encode", ColumnTransformer(steps)),
                ("classify", HistGradientBoostingClassifier(**boost)),
            ]
        ).fit(X, y[learn])
        pair = [
            FittedModel(
                "propensity",
                model,
                {},
                used,
                {"auc": 0.5, "rows": 1},
                "HistGradientBoostingClassifier",
                leaks=registry.model_row(ready, "propensity-1")["leaks"],
            ),
            FittedModel("personas", clusters, {}, people["features"], people["metrics"], "KMeans"),
        ]
        data = {"batches": [], "triggered_by": triggered_by}
        return registry.register_models(ready, pair, f"{name:-<32}", data)

    return go
