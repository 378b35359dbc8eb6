"""The API on real Postgres through Airflow's API server: answers and refusals."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from loan_scoring import contract, database
from loan_scoring.database import audit
from loan_scoring.database.session import Session, open_session
from loan_scoring.local.postgres import embedded
from loan_scoring.scoring import request
from loan_scoring.scoring.fields import example_application, typed_applications
from loan_scoring.scoring.request import _working

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

Token = Callable[[str], dict[str, str]]
API = "/loan-scoring/api/v1"
P = f"{API}/loan_default"
NIGHT = "2026-01-05"
LENIENT = [positive_data_acceptance, negative_data_rejection]
"""Not checked: a time may also be a number, and the contract decides what an application is."""
PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
EXAMPLES = int(os.environ.get("LOAN_SCORING_API_EXAMPLES", "8"))
"""Random requests of each kind for each route; a few hundred take minutes."""


def postgres_url(session: Session) -> str:
    name = session.connection.info.dbname
    return embedded().url("loan_scoring").rpartition("/")[0] + f"/{name}"


def column(session: Session, query: str) -> list:
    return [row[0] for row in database.select_read_only(session.connection, query)[1]]


def applications(session: Session, where: str = "true", limit: int = 5) -> list[dict[str, Any]]:
    return [
        json.loads(each)
        for each in column(
            session,
            "select (to_jsonb(a) - '{batch_id,revision,line_number}'::text[])::text"
            " from current_applications as a join current_scores as s using (batch_id, loan_id)"
            f" where {where} order by loan_id limit {limit}",
        )
    ]


@pytest.mark.attack
def test_scores_equal_those_of_the_night_and_the_call_is_recorded(
    client: Any, token: Token, night: Session
) -> None:
    given = applications(night, limit=100)
    answer = client.post(f"{P}/score", json={"applications": given}, headers=token("user"))
    assert answer.status_code == 200
    body = answer.json()
    rows = database.select_read_only(
        night.connection,
        "select loan_id, default_probability, decision, persona, persona_default_rate"
        " from current_scores order by 1 limit 100",
    )[1]
    for score, row in zip(body["scores"], rows, strict=True):
        chance = row[1]
        assert score["default_probability"] == (chance and pytest.approx(chance, abs=1e-12))
        names = ("loan_id", "decision", "persona", "persona_default_rate")
        assert [score[name] for name in names] == [row[0], *row[2:]]
    answer = client.get(f"{P}/calls", headers=token("user"))
    assert answer.headers["cache-control"] == "no-store"
    (call,) = answer.json()["calls"]
    assert (call["call_id"], call["called_by"]) == (body["call_id"], "airflow:a user")
    assert (call["input"], call["output"]) == (given, body["scores"])
    (seen,) = client.get(f"{P}/calls", headers=token("viewer")).json()["calls"]
    assert seen == call | {"input": []}


def test_wrong_field_is_named(client: Any, token: Token, night: Session) -> None:
    good, bad = applications(night, "s.decision <> 'refer'", 2)
    level = next(c for c in night.contract.features if c.levels and not c.open_levels)
    bad[level.name] = "<script>alert(1)</script>"
    answer = client.post(f"{P}/score", json={"applications": [good, bad]}, headers=token("op"))
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["loc"] == ["body", "applications", 1, level.name]
    assert fault["type"] == "unknown_level"
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["title"], told["status"]) == ("Unprocessable Entity", 422)
    assert told["detail"].startswith(f"body.applications.1.{level.name}: ")
    answer = client.post(f"{P}/score", json={"aplications": []}, headers=token("op"))
    assert {each["loc"][-1] for each in answer.json()["errors"]} == {"applications", "aplications"}
    assert column(night, "select count(*) from calls") == [0]


@pytest.mark.attack
def test_an_answer_about_faults_is_bounded(client: Any, token: Token, night: Session) -> None:
    (one,) = applications(night, limit=1)
    wrong = {f"{'z' * 500}{n}": n for n in range(5)}
    body = {"applications": [one | wrong for _ in range(100)]}
    answer = client.post(f"{P}/score", json=body, headers=token("op"))
    assert answer.status_code == 422
    *faults, last = answer.json()["errors"]
    assert (len(faults), last["msg"]) == (100, "and 400 more faults")
    assert len(answer.content) < 50_000


@pytest.mark.attack
@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/a%00/batches",
        "/p/%00/",
        "/quality/a%00/b/1",
        "/static/%00.js",
    ],
)
def test_an_address_with_nul_is_refused_in_a_line(client: Any, token: Token, path: str) -> None:
    for headers in ({}, token("admin")):
        answer = client.get(f"/loan-scoring{path}", headers=headers)
        assert answer.status_code == 404
        assert "it has a NUL character" in answer.text


@pytest.mark.attack
def test_the_example_is_of_the_portfolio(client: Any, token: Token, night: Session) -> None:
    url, op = f"{API}/openapi.json", token("op")
    for name in ("loan_default", "credit_data"):
        found = client.get(f"{url}?portfolio={name}", headers=op).json()
        score = found["paths"]["/api/v1/{portfolio}/score"]["post"]
        (example,) = score["requestBody"]["content"]["application/json"]["example"]["applications"]
        assert set(example) - {"loan_id"} <= set(contract.load(name).by_name)
    assert client.get(f"{url}?portfolio=none", headers=op).status_code == 404


@pytest.mark.attack
def test_rights_are_airflows(client: Any, token: Token, night: Session) -> None:
    body = {"applications": applications(night, limit=1)}
    assert client.post(f"{P}/score", json=body).status_code == 401
    assert client.post(f"{P}/score", json=body, headers=token("viewer")).status_code == 403
    for role in ("user", "op", "admin"):
        assert client.post(f"{P}/score", json=body, headers=token(role)).status_code == 200
    for path in ("batches", "alerts", "executions", "calls", "models", "models/propensity-1"):
        assert client.get(f"{P}/{path}").status_code == 401
        assert client.get(f"{P}/{path}", headers=token("viewer")).status_code == 200
    assert client.get(f"{API}/openapi.json").status_code == 401
    assert client.get(f"{API}/other/batches", headers=token("admin")).status_code == 404


@pytest.mark.attack
def test_cookie_needs_the_same_site(client: Any, token: Token, night: Session) -> None:
    body = {"applications": applications(night, limit=1)}
    cookie = {"Cookie": "_token=" + token("op")["Authorization"].removeprefix("Bearer ")}
    for headers, status in (
        ({}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ):
        answer = client.post(f"{P}/score", json=body, headers=cookie | headers)
        assert answer.status_code == status


@pytest.mark.attack
def test_size_is_limited(client: Any, token: Token, night: Session) -> None:
    (one,) = applications(night, limit=1)
    op = token("op")
    many = [one | {"loan_id": n} for n in range(1, 1002)]
    answer = client.post(f"{P}/score", json={"applications": many}, headers=op)
    assert answer.status_code in (413, 422)
    small = [{"loan_id": n} for n in range(1, 1002)]
    answer = client.post(f"{P}/score", json={"applications": small}, headers=op)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "applications"]

    def stream() -> Iterator[bytes]:
        yield b'{"applications": ["'
        for _ in range(40):
            yield b"x" * (1 << 16)

    answer = client.post(f"{P}/score", content=stream(), headers=op)
    assert (answer.status_code, "longer than" in answer.json()["detail"]) == (413, True)
    assert client.post(f"{P}/score", content=b"{", headers=op).status_code == 422
    for limit, status in ((100, 200), (101, 422)):  # a call may hold a thousand applications
        assert client.get(f"{P}/calls?limit={limit}", headers=op).status_code == status


@pytest.mark.attack
def test_extract_is_the_table_as_json_and_as_csv(client: Any, token: Token, night: Session) -> None:
    seen = token("viewer")
    (run,) = client.get(f"{P}/executions?batch={NIGHT}", headers=seen).json()["executions"]
    path = f"{P}/executions/{run['scoring_run_id']}/scores"
    expected = column(night, "select loan_id from current_scores order by 1")
    found, after = [], ""
    while after is not None:
        page = client.get(f"{path}?limit=300{after and f'&after={after}'}", headers=seen).json()
        found += [row["loan_id"] for row in page["scores"]]
        after = page["next"]
    assert found == expected
    sheet = client.get(f"{path}?format=csv&limit=10", headers=seen)
    assert sheet.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(sheet.text)))
    assert [int(row["loan_id"]) for row in rows] == expected[:10]
    assert sheet.headers["x-next"] == str(expected[9])
    with database.transaction(night.connection), night.connection.cursor() as cursor:
        cursor.execute("update scores set reason_1 = '=1+1'")
    (first, *_) = csv.DictReader(io.StringIO(client.get(f"{path}?format=csv", headers=seen).text))
    assert first["reason_1"] == "'=1+1"  # a spreadsheet program shows it as text
    assert client.get(f"{P}/executions/none/scores", headers=seen).status_code == 404


@pytest.mark.attack
@pytest.mark.parametrize(
    "query",
    [
        "calls?after=2026-01-01/" + "-" * 36,
        "calls?after=2026-01-01/" + "0" * 36,
        "executions/{run}/scores?after=" + "9" * 99,
    ],
)
def test_wrong_page_place_is_refused(client: Any, token: Token, night: Session, query: str) -> None:
    (run,) = column(night, "select scoring_run_id from scoring_runs")
    answer = client.get(f"{P}/{query.format(run=run)}", headers=token("viewer"))
    assert answer.status_code in (404, 422), answer.text


def test_batches_drift_alerts_and_models_are_read(
    client: Any, token: Token, night: Session
) -> None:
    seen = token("viewer")
    found = client.get(f"{P}/batches?limit=1", headers=seen).json()
    assert [each["batch_id"] for each in found["batches"]] == [NIGHT]
    rest = client.get(f"{P}/batches?before={found['next']}", headers=seen).json()
    assert [each["batch_id"] for each in rest["batches"]] == ["history"]
    assert rest["next"] is None
    drift = client.get(f"{P}/batches/{NIGHT}/drift", headers=seen).json()
    assert drift["tests"] == []  # metrics has not run yet
    assert client.get(f"{P}/batches/2020-01-01/drift", headers=seen).status_code == 404
    models = client.get(f"{P}/models", headers=seen).json()["models"]
    assert {each["model_version"] for each in models} == {"propensity-1", "personas-1"}
    model = client.get(f"{P}/models/propensity-1", headers=seen).json()
    assert model["fitted_with"] == "personas-1"
    assert {each["name"] for each in model["inputs"]} <= set(night.contract.by_name)
    card = client.get(f"{P}/models/propensity-1/card", headers=seen)
    assert card.text.startswith("# Model card: propensity-1")
    assert client.get(f"{P}/models/propensity-9/card", headers=seen).status_code == 404


def test_acknowledged_alert_names_the_user(client: Any, token: Token, night: Session) -> None:
    with database.transaction(night.connection), night.connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO alerts (batch_id, last_batch_id, revision, severity, kind, subject,"
            " message, evidence)"
            " VALUES (%s, %s, 1, 'warning', 'quality', 'batch', 'few rows', '{}')",
            (NIGHT, NIGHT),
        )
    (alert,) = client.get(f"{P}/alerts?state=open", headers=token("viewer")).json()["alerts"]
    path = f"{P}/alerts/{alert['alert_id']}/acknowledge"
    assert client.post(path, json={}, headers=token("viewer")).status_code == 403
    answer = client.post(path, json={"comment": "seen"}, headers=token("op"))
    changed = answer.json()
    assert (answer.status_code, changed["state"]) == (200, "acknowledged")
    assert (changed["changed_by"], changed["comment"]) == ("airflow:a op", "seen")
    assert client.get(f"{P}/alerts?state=open", headers=token("viewer")).json()["alerts"] == []
    assert (
        client.post(f"{P}/alerts/999/acknowledge", json={}, headers=token("op")).status_code == 404
    )
    with database.transaction(night.connection), night.connection.cursor() as cursor:
        cursor.execute("UPDATE alerts SET state = 'resolved'")
    assert client.post(path, json={}, headers=token("op")).status_code == 409
    entry = audit.recent_entries(night)[0]
    assert (entry["done_by"], entry["action"]) == ("airflow:a op", "alert.acknowledge")


def test_api_server_starts_without_statistics(airflow_home: Any) -> None:
    code = (
        "import sys, airflow.api_fastapi.core_api.security; before = set(sys.modules);"
        "import loan_scoring_web.app; new = set(sys.modules) - before;"
        "print([name for name in ('pandas', 'sklearn', 'scipy', 'matplotlib') if name in new])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(PLUGINS), *sys.path])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_missing_database_is_named(
    client: Any, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOAN_SCORING", "LOAN_SCORING_READER"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", "postgresql://u:secret@127.0.0.1:1/none")
    answer = client.get(f"{P}/batches", headers=token("viewer"))
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("no database at postgresql://u@127.0.0.1:1/none")


def test_busy_scoring_answers_try_again(
    client: Any, token: Token, night: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "BUSY_SECONDS", 0.1)
    body = {"applications": applications(night, limit=1)}
    with _working:
        answer = client.post(f"{P}/score", json=body, headers=token("op"))
    assert (answer.status_code, "try again" in answer.json()["detail"]) == (503, True)
    assert client.post(f"{P}/score", json=body, headers=token("op")).status_code == 200


def test_post_gives_up_on_a_lock(
    client: Any, token: Token, night: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loan_scoring_web import databases

    monkeypatch.setitem(databases.WRITE, "lock_timeout", "100ms")
    body = {"applications": applications(night, limit=1)}
    assert client.post(f"{P}/score", json=body, headers=token("op")).status_code == 200
    with database.transaction(night.connection), night.connection.cursor() as cursor:
        cursor.execute("LOCK TABLE calls")
        answer = client.post(f"{P}/score", json=body, headers=token("op"))
    assert (answer.status_code, "lock timeout" in answer.json()["detail"]) == (503, True)


def test_request_migrates_nothing(
    client: Any, token: Token, new_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", url)
    answer = client.post(f"{P}/score", json={"applications": [{}]}, headers=token("op"))
    assert (answer.status_code, "is behind" in answer.json()["detail"]) == (503, True)
    with closing(database.connect("public", url)) as connection:
        query = "select 1 from pg_namespace where nspname = 'loan_default'"
        assert database.select_read_only(connection, query)[1] == []


def test_connection_is_given_back_before_the_answer_is_sent(
    client: Any, token: Token, night: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from starlette.responses import Response

    from loan_scoring_web import databases

    events: list[str] = []
    lend, sent = databases.kept_connection, Response.__call__

    @contextmanager
    def lent(*given: Any) -> Iterator[Any]:
        with lend(*given) as connection:
            events.append("lent")
            yield connection
        events.append("given back")

    async def send(self: Response, *given: Any) -> None:
        events.append("sent")
        await sent(self, *given)

    monkeypatch.setattr(databases, "kept_connection", lent)
    monkeypatch.setattr(Response, "__call__", send)
    assert client.get(f"{P}/batches", headers=token("viewer")).status_code == 200
    assert events[:3] == ["lent", "given back", "sent"]


@pytest.mark.parametrize("name", contract.names())
def test_example_of_the_document_is_an_application(name: str) -> None:
    of = contract.load(name)
    assert typed_applications(of, [example_application(of)]).num_rows == 1


@pytest.fixture
def surprises(client: Any, token: Token, night: Session) -> Callable[..., None]:
    """Return a function that sends the requests that Schemathesis derives from the API's document.

    It checks that there is no 5xx and no undocumented status, that answers have the documented
    shapes, and that nothing is answered without a login.
    """
    op = token("op")
    with open_session("credit_data", postgres_url(night)):
        pass  # Schemathesis finds the other portfolio's name in the code
    document = schemathesis.openapi.from_asgi(f"{API}/openapi.json", client.app, headers=op)
    (run,) = column(night, "select scoring_run_id from scoring_runs")
    known = {
        "portfolio": "loan_default", "batch_id": NIGHT, "scoring_run_id": run, "alert_id": 1,
        "model_version": "propensity-1",
    }  # fmt: skip

    def send(mode: GenerationMode) -> None:
        for found in document.get_all_operations():
            operation = found.ok()
            names = {each.name for each in operation.path_parameters}
            fixed: dict[str, Any] = {"headers": op}
            if mode is GenerationMode.POSITIVE:
                fixed["path_parameters"] = {name: known[name] for name in names}

            elif not (len(operation.query) or operation.body):
                continue  # only the path can be wrong, which is a 404

            @given(case=operation.as_strategy(mode, **fixed))
            @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
            def ask(case: Any) -> None:
                # An address with a line break does not reach a mounted app: Airflow answers it.
                place = unquote("".join(map(str, case.path_parameters.values())))
                assume("\n" not in place)
                case.call_and_validate(headers=op, excluded_checks=LENIENT)

            ask()

    return send


@pytest.mark.attack
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_ends_in_an_error_or_an_undocumented_status(
    surprises: Callable[..., None], mode: GenerationMode
) -> None:
    surprises(mode)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()),
    st.just("1e999"), st.just("0x10"), st.just("\x00"), st.just("NaN"), st.just(10**400),
)  # fmt: skip


@pytest.mark.attack
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_value_of_a_field_is_scored_or_refused_by_name(
    client: Any, token: Token, night: Session, data: Any
) -> None:
    one = applications(night, limit=1)[0]
    names = st.sampled_from([*one, "x", "", "\ud800"])
    changed = one | data.draw(st.dictionaries(names, VALUES, max_size=3))
    body = json.dumps({"applications": [changed]})
    json_ = {"Content-Type": "application/json"}
    answer = client.post(f"{P}/score", content=body, headers=token("op") | json_)
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 422:
        assert {fault["loc"][3] for fault in answer.json()["errors"]}
