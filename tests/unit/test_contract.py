"""A contract with a mistake is refused in one line that names file, field and reason."""

import hashlib
import re
import textwrap
from pathlib import Path

import pytest
import yaml

from loan_scoring import contract as contracts
from loan_scoring.contract import Contract
from loan_scoring.errors import ContractError
from loan_scoring.models.training.rows import NOT_FITTED

PATH = Path(__file__).parents[2] / "include/portfolios/loan_default.yaml"
TEXT = PATH.read_text()

MISTAKES = [
    ("type: number", "type: float", "columns.interest_rate_percent.type", "'float'"),
    ("name: gender", "name: region", "columns", "'region' is declared twice"),
    ("source: Gender", "source: Region", "columns", "'Region' is declared twice"),
    ("approve_below: 0.15", "approve_below: 0.95", "decision", "above decline_from"),
    ("approve_below: 0.15", "approve_below: 15", "decision.approve_below", "less than 1"),
    ("psi_attention: 0.1", "psi_attention: 0.3", "monitoring", "must be below psi_drifted"),
    ("label: Region", "labl: Region", "columns.region.labl", "there is no such field"),
    ("range: [300, 900]", "range: [900, 300]", "columns.credit_score", "out of order"),
    ("levels: [cf, ncf]", "levels: [cf, cf]", "columns.loan_limit", "'cf' is declared twice"),
    ("name: loan_id", "name: id", "columns", "no column is named loan_id"),
    ("protected: [gender", "protected: [sex", "protected", "no column is named 'sex'"),
    ("equals: EQUI", "equals: EQUIFAX", "exclusions.1.equals", "not a level of credit_bureau"),
    ("is_null: true}", "is_null: false}", "exclusions.0", "either is_null"),
    ("numerator: loan_amount_usd", "numerator: amount", "ratios.0.numerator", "'amount'"),
    ("portfolio: loan_default", "portfolio: other", "portfolio", "must be the name of the file"),
    ("known: pricing", "known: later", "columns.interest_rate_percent.known", "'later'"),
    ("quantiles: [0, 1920,", "quantiles: [0, 9920,", "columns.income", "out of order"),
    ("effect: {pre: -0.3}", "effect: {pri: -0.3}", "columns.preapproval", "'pri'"),
    ("effect: -0.35}", "effect: {a: 1}}", "columns.income_usd_per_month", "not a number"),
    ("levels: [cf, ncf]", "levels: [yes, no]", "columns.loan_limit.levels.0", "put it in quotes"),
    ('start: "2026-01-05"', "start: 2026-01-05", "replay.start", "put it in quotes"),
    (
        "kind: shuffle_outcomes, share: 0.3",
        "kind: shuffle_outcomes",
        "replay.scenarios.model_shift",
        "kind shuffle_outcomes needs share",
    ),
    ("kind: multiply", "kind: double", "replay.scenarios.income_shock.kind", "'double'"),
    ("holdout_share: 0.25", "holdout_share: 1", "training.holdout_share", "less than 1"),
    ("critical: [0.2, 5]", "critical: [0.6, 5]", "ingest.volume", "must contain the warning band"),
    ("min_nights: 3", "min_nights: 30", "ingest.volume", "above nights"),
    (
        "max_quarantined_share: 0.1",
        "quarantine: {nights: 4}",
        "ingest.quarantine",
        "min_nights 5 is above nights 4",
    ),
    (
        "max_null_share: 0.15",
        "max_null_share: 0.15\n    critical_null_share: 0.1",
        "columns.income_usd_per_month",
        "below max_null_share",
    ),
    ("amount: loan_amount_usd", "amount: loan_sum_usd", "business.amount", "'loan_sum_usd'"),
    ("amount: loan_amount_usd", "amount: region", "business.amount", "region is not a number"),
    ("mature_share: 0.9", "mature_share: 0", "performance.mature_share", "greater than 0"),
    ("personas: [3, 8]", "personas: [8, 3]", "training", "(8, 3) is out of order"),
    ("folds: 3", "folds: 1", "training.folds", "greater than or equal to 2"),
    (
        "    hist_gradient_boosting:\n",
        "    svm:\n",
        "training.candidates",
        "'svm' is not an algorithm; use one of log",
    ),
    (
        "max_depth: 4",
        "depth: 4",
        "training.candidates",
        "xgboost has no parameter 'depth'; use one of colsample",
    ),
    (
        "    acknowledged_leaves:\n",
        "    acknowledged: {incom: because}\n    acknowledged_leaves:\n",
        "training.leaks.acknowledged",
        "no column is named 'incom'",
    ),
    (
        "      credit_worthiness: >-",
        "      worthines: >-",
        "training.leaks.acknowledged_leaves",
        "no column is named 'worthines'",
    ),
    ("folds: 3", "calibration_slope: [1.1, 1.2]", "training", "must be a band around 1"),
    *(
        ("portfolio: loan_default", f"portfolio: {kept}", "portfolio", "a schema of Postgres")
        for kept in ("mlflow", "public", "pg_loans", "information_schema")
    ),
    ("mode: auto", "mode: never", "promotion.mode", "'never'"),
    ("slope: [0.9, 1.1]", "slope: [0.5, 0.9]", "promotion", "must contain 1"),
    ("attributes: [gender", "attributes: [sex", "promotion.fairness.attributes", "'sex'"),
    ("attributes: [gender", "attributes: [loan_type", "promotion.fairness.attributes", "protected"),
    ("level: Joint", "level: Both", "promotion.fairness.not_a_group", "not a level of gender"),
    ("nights_on_time: 0.99", "nights_on_time: 99", "service_level.nights_on_time", "99"),
    ("within_minutes: 60", "within_minutes: 0", "service_level.scored_within_minutes", "0"),
    ("portfolio: loan_default", "portfolio: [", "", "not valid YAML"),
    *(
        ("service_level:", f"notifications: [{channels}]\nservice_level:", field, reason)
        for channels, field, reason in (
            ("{kind: smtp, connection: c}", "notifications.0.name", "Field required"),
            ("{name: A b, kind: smtp, connection: c}", "notifications.A b.name", "lower-case"),
            ("{name: a, kind: sms, connection: c}", "notifications.a.kind", "found 'sms'"),
            ("{name: a, kind: smtp, connection: c}", "notifications.a", "needs recipients"),
            (
                "{name: a, kind: slack, connection: c, recipients: [a@b.example]}",
                "notifications.a",
                "only smtp has recipients; the connection of a slack sets its own",
            ),
            (
                "{name: a, kind: smtp, connection: c, recipients: [nobody]}",
                "notifications.a",
                "'nobody' is not an e-mail address",
            ),
            (
                "{name: a, kind: webhook, connection: 'https://h.example/secret'}",
                "notifications.a.connection: give the id of an Airflow connection",
                "which holds the address and its secrets",
            ),
            (
                "{name: a, kind: slack, connection: c, least_severity: info}",
                "notifications.a.least_severity",
                "'info'",
            ),
            (
                "{name: a, kind: slack, connection: c, alerts: [drift]}",
                "notifications.a.alerts.0",
                "'drift'",
            ),
            ("{name: a, kind: slack, connection: c, alerts: []}", "notifications.a.alerts", "1"),
            (
                "{name: a, kind: slack, connection: c}, {name: a, kind: slack, connection: d}",
                "notifications",
                "'a' is declared twice",
            ),
        )
    ),
]


@pytest.mark.parametrize(("right", "wrong", "field", "reason"), MISTAKES)
def test_mistake_is_named_in_one_line(
    tmp_path: Path, right: str, wrong: str, field: str, reason: str
) -> None:
    assert right in TEXT
    path = tmp_path / "loan_default.yaml"
    path.write_text(TEXT.replace(right, wrong, 1))
    with pytest.raises(ContractError) as caught:
        contracts.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {field}")
    assert reason in message
    assert "\n" not in message


@pytest.mark.attack
def test_address_in_place_of_a_connection_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "loan_default.yaml"
    channel = "{name: a, kind: slack, connection: 'https://h.example/secret'}"
    path.write_text(f"{TEXT}\nnotifications: [{channel}]\n")
    with pytest.raises(ContractError) as caught:
        contracts.read(path)
    assert "secret'" not in str(caught.value)
    assert "h.example" not in str(caught.value)


def test_channels_in_the_contract_s_comment_are_valid(tmp_path: Path) -> None:
    shown = re.search(r"# notifications:\n(# .*\n)+", TEXT)
    assert shown is not None
    path = tmp_path / "loan_default.yaml"
    path.write_text(TEXT.replace(shown[0], shown[0].replace("# ", "")))
    channels = contracts.read(path).notifications
    assert [channel.kind for channel in channels] == ["smtp", "slack", "webhook"]


def test_missing_contract_names_those_that_exist() -> None:
    with pytest.raises(ContractError, match=r"no contract .*mortgages\.yaml; .*loan_default"):
        contracts.load("mortgages")


def test_a_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "loan_default.yaml"
    path.write_text("- a\n- b\n")
    with pytest.raises(ContractError, match="mapping of fields, found list"):
        contracts.read(path)


def test_the_fingerprints_of_a_contract_stay_as_they_are() -> None:
    """Other hashes would train again on unchanged data, and land unchanged files again."""
    raw = yaml.safe_load(TEXT)
    for column in raw["columns"]:
        column.pop("direction", None)
    for field in ("candidates", "leaks"):
        del raw["training"][field]
    for part, field in (
        ("business", "margin"), ("promotion", "shadow_nights"), ("promotion", "shadow_runner_up"),
    ):  # fmt: skip
        raw[part].pop(field, None)
    for part in ("grades", "desk", "federated", "scan_form"):
        raw.pop(part)
    loan_default = Contract.model_validate(raw)
    assert contracts.row_rules_sha256(contracts.read(PATH)) == contracts.row_rules_sha256(
        loan_default
    )
    assert contracts.row_rules_sha256(loan_default) == (
        "ffc9f3009cf09131d4fa6d8342a8a4aec4d3614a0b93a3fbb4309a81317ef7de"
    )
    # These fields are newer than the hash, and rows.NOT_FITTED leaves them out.
    newer = {part: NOT_FITTED[part] for part in ("ingest", "columns", "governance")}
    text = loan_default.model_dump_json(exclude=newer | {"performance": {"segments"}})
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "b08be145fde189b642c6ee2678a88023ee894ffacb69db2125cbbfd2d10cb95b"
    )


def test_features_are_known_at_application_and_not_protected(loan_default: Contract) -> None:
    features = {column.name for column in loan_default.features}
    assert not features & set(loan_default.protected)
    assert not features & {"interest_rate_spread_points", "debt_to_income_percent", "loan_id"}
    assert {"income_usd_per_month", "ltv_percent"} <= features


def test_the_contract_in_the_docs_is_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "data-contract.md").read_text()
    shown = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    path = tmp_path / "car_loans.yaml"
    path.write_text(textwrap.dedent(shown[1]))
    features = [column.name for column in contracts.read(path).features]
    assert features == ["price_eur", "income_eur_per_month", "job"]


@pytest.mark.attack
def test_aliases_within_aliases_are_refused(tmp_path: Path) -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    path = tmp_path / "loans.yaml"
    path.write_text("\n".join(["a0: &a0 [x]", *levels]))
    with pytest.raises(ContractError, match=r"the alias \*a0 is within a part that has an anchor"):
        contracts.read(path)
    path.write_text("a: &a {x: 1}\nb: {<<: *a, y: 2}\nportfolio: loans\n")
    with pytest.raises(ContractError, match=r"loans\.yaml: a: "):  # read, and then judged
        contracts.read(path)
