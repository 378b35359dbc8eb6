"""No route of the running app answers a stranger, another site's form or a hostile address.

The routes are read from the app, so that a new one is tried too.
"""

import gzip
import json
import os
import re
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session

pytestmark = [
    pytest.mark.attack,
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

Token = Callable[[str], dict[str, str]]
Places = dict[str, set[str]]
WEB = "/loan-scoring"
P = f"{WEB}/p/loan_default"
SCORE = f"{WEB}/api/v1/loan_default/score"
NIGHT = "2026-01-05"
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"}
REFUSED = {401, 403, 404, 405}
IS_LONG = bool(os.environ.get("LOAN_SCORING_ALL_ATTACKS"))
"""`make test-attacks` sends every method and probe to every place; other runs a part of them."""

OPEN = re.compile(
    r"/health|/execution/health|/api/v2/(monitor/health|version)"  # is it up, which release
    r"|(/auth|/execution)?/(openapi\.json|docs|docs/oauth2-redirect|redoc|changelog)"
    r"|/auth/(x|token(/cli|/login)?)|/api/v2/auth/log(in|out)"  # where a login begins and ends
    r"|/api/x|/api/v1/x"  # says that this API is gone
    r"|/(auth/|loan-scoring/)?static/x\.js"
)
"""Addresses that need no login: Airflow's state, documents and login, and static files."""


@pytest.fixture(scope="module")
def whole(airflow_home: Any) -> Iterator[Any]:
    """A client of the whole app as `airflow api-server` runs it, with the API of tasks."""
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    with TestClient(create_app(apps="all"), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def places(whole: Any) -> Places:
    """Every path of the app, each parameter `x`, with the methods that it declares."""
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    from loan_scoring_web.app import app as web

    found: Places = {}

    def walk(app: Any, prefix: str) -> None:
        for route in app.routes:  # an app without this attribute fails: say here how it is walked
            path, inner = prefix + route.path, getattr(route, "app", None)
            if not isinstance(route, Mount):
                path = re.sub(r"{.*?}", "x", path)
                found.setdefault(path, set()).update(route.methods)
            elif isinstance(inner, StaticFiles):
                found[f"{path}/x.js"] = {"GET", "HEAD"}
            else:
                walk(web if path == WEB else inner, path)

    walk(whole.app, "")
    return found


def test_no_stranger_gets_an_answer(whole: Any, places: Places) -> None:
    """The shell of Airflow's UI is for everybody; what it shows needs a login."""
    assert len(places) > 150
    assert len([path for path in places if path.startswith(WEB)]) > 30
    shell, answered = whole.get("/x").text, []
    for path, declared in places.items():
        if OPEN.fullmatch(path):
            continue
        for method in METHODS if IS_LONG else declared:
            answer = whole.request(method, path, follow_redirects=False)
            if answer.status_code not in REFUSED and answer.text != shell:
                answered.append(f"{method} {path}: {answer.status_code}")
    assert answered == []


FORGED = {
    "none": {"Authorization": ""},
    "empty": {"Authorization": "Bearer "},
    "unsigned": {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ."},
    "cookie": {"Cookie": "_token=x"},
    "basic": {"Authorization": "Basic YWRtaW46YWRtaW4="},
    "forwarded": {"X-Forwarded-User": "ann", "X-Remote-User": "ann", "Remote-User": "ann"},
    "rewritten": {"X-Original-URL": "/health", "X-HTTP-Method-Override": "GET"},
}  # fmt: skip


@pytest.mark.parametrize("headers", FORGED.values(), ids=[*FORGED])
def test_no_forged_login_gets_an_answer(
    whole: Any, places: Places, headers: dict[str, str]
) -> None:
    for path, declared in places.items():
        if path.startswith(WEB) and not OPEN.fullmatch(path):
            for method in declared:
                answer = whole.request(method, path, headers=headers, follow_redirects=False)
                assert answer.status_code in REFUSED, (method, path)


def forms() -> list[str]:
    """Return the addresses that change something, of a portfolio that exists."""
    from loan_scoring_web.app import app as web

    writing = METHODS - {"GET", "HEAD", "OPTIONS", "TRACE"}
    found = [each for each in web.routes if writing & (getattr(each, "methods", None) or set())]
    return [WEB + re.sub(r"{.*?}", "1", each.path.replace("{portfolio}", "loan_default"))
            for each in found]  # fmt: skip


ELSEWHERE = [
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://testserver.evil.example"},
    {"Origin": "http://evil.example/testserver"},
    {"Origin": "http://testserver@evil.example"},
    {"Origin": "http://testserver:81"},
    {"Referer": "https://evil.example/"},
    {"Referer": "http://testserver/"},  # a page may leave it out, so it proves nothing
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://testserver"},
    {"Sec-Fetch-Site": "none", "Origin": "http://testserver"},
    {"Authorization": "Basic YTpi", "Origin": "https://evil.example"},
]


@pytest.mark.parametrize("sent", ELSEWHERE, ids=str)
def test_no_form_of_another_site_is_taken(
    client: Any, token: Token, night: Session, sent: dict[str, str], digests: Any
) -> None:
    """The browser of an Admin sends the cookie with it; each kind of body that a form can have."""
    cookie = {"Cookie": "_token=" + token("admin")["Authorization"].removeprefix("Bearer ")}
    before = contents(night, digests)
    assert len(forms()) > 5
    for path in forms():
        for body in ({"data": {"comment": "x"}}, {"content": b"{}"}, {"files": {"a": b"x"}}):
            answer = client.post(path, headers=cookie | sent, follow_redirects=False, **body)
            assert answer.status_code == 403, path
    assert contents(night, digests) == before


def contents(session: Session, digests: Any) -> dict[str, str]:
    """Return a digest of each table, without what a request itself puts on record."""
    tables = database.select_read_only(
        session.connection,
        "select relname from pg_class where relkind in ('r', 'p') and not relispartition"
        " and relnamespace = 'loan_default'::regnamespace"
        " and relname not in ('readings', 'calls') order by 1",
    )[1]
    found: dict[str, str] = digests(session, {name: "t" for (name,) in tables})
    return found


PROBES = [
    "'", '"', "' or 1=1 --", "1; drop table scores; --", "1') union select version() --", "%27",
    "$$;select pg_sleep(9)$$", "{{7*7}}", "${jndi:ldap://x/a}", "<script>alert(1)</script>",
    "../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "....//....//etc/passwd",
    "%c0%ae%c0%ae/etc/passwd", "\\..\\..\\etc\\passwd", "/etc/passwd", "file:///etc/passwd", ".",
    "..", "\r\nX-Injected: 1", "\u202e", "\ud800", "\U0001f4a9", "A" * 5000, "-1", "0",
    "9" * 40, "1e999", "NaN", "Infinity", "2026-02-30", "2026-01-05\n", "loan_default\n",
    "2026-01-05/9", "null", "[]", "{}", "*", "%", "_", " ", "x\ty",
]  # fmt: skip
LEAKS = re.compile(r"root:.*:0:0:|Traceback|psycopg2|syntax error|PostgreSQL \d|>49<")


def queried() -> list[tuple[str, str, str]]:
    """Return each place of the plugin in which a text of the caller stands: path, kind, name."""
    from loan_scoring_web.app import app as web

    known = {"portfolio": "loan_default", "batch_id": NIGHT, "dag_id": "loan_default_ingest"}
    found = []
    for route in web.routes:
        if "GET" not in (getattr(route, "methods", None) or ()):
            continue
        names = re.findall(r"{(\w+).*?}", route.path)
        for name in names:
            values = known | {each: "1" for each in names if each not in known} | {name: "PROBE"}
            found.append((WEB + re.sub(r"{(\w+).*?}", lambda m: values[m[1]], route.path),  # noqa: B023
                          "path", name))  # fmt: skip
        whole = WEB + re.sub(r"{(\w+).*?}", lambda m: known.get(m[1], "1"), route.path)
        found += [(whole, "query", name) for name in sorted(query_names(route.dependant))]
    return found


def query_names(dependant: Any) -> set[str]:
    """Return the names of a route's query parameters, also those of a model and of others."""
    names: set[str] = set()
    for each in dependant.query_params:
        fields = getattr(each.field_info.annotation, "model_fields", None)
        names |= {*fields} if fields else {each.alias}
    for each in dependant.dependencies:
        names |= query_names(each)
    return names


def test_no_path_or_query_reaches_a_file_a_statement_or_a_template(
    client: Any, token: Token, night: Session, digests: Any
) -> None:
    before, admin = contents(night, digests), token("admin")
    places = queried()
    assert len(places) > 60
    assert {"limit", "after", "batch", "persona", "format"} <= {name for _, _, name in places}
    for place, (path, kind, name) in enumerate(places):
        for number, probe in enumerate(PROBES):
            # A date that no calendar has fits the pattern of a date, so it is tried everywhere.
            if not IS_LONG and (number + place) % 8 and probe != "2026-02-30":
                continue
            text = quote(probe, safe="%", errors="surrogatepass")
            address = path.replace("PROBE", text) if kind == "path" else f"{path}?{name}={text}"
            began = time.monotonic()
            answer = client.get(address, headers=admin, follow_redirects=False)
            said = (address[:200], answer.status_code, answer.text[:300])
            assert answer.status_code < 500, said
            assert not LEAKS.search(answer.text), said
            assert "x-injected" not in answer.headers, said
            assert time.monotonic() - began < 5, said
            if probe.startswith("<script>"):
                assert probe not in answer.text or "json" in answer.headers["content-type"], said
    assert contents(night, digests) == before


def deep(depth: int) -> bytes:
    return b'{"applications": ' + b"[" * depth + b"]" * depth + b"}"


BOMBS = {
    "nothing": b"",
    "half": b"{",
    "no object": b"[]",
    "deep arrays": deep(100_000),
    "deep objects": b'{"applications": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "long number": b'{"applications": [{"loan_id": ' + b"9" * 900_000 + b"}]}",
    "huge exponent": b'{"applications": [{"loan_id": 1e999999999}]}',
    "not a number": b'{"applications": [{"loan_id": NaN}, {"loan_id": -Infinity}]}',
    "twice": b'{"applications": [{"loan_id": 1}], "applications": 5}',
    "lone surrogate": b'{"applications": [{"\\ud800": "\\udfff"}]}',
    "not utf-8": b'{"applications": [{"loan_id": "\xff\xfe"}]}',
    "utf-16": '{"applications": []}'.encode("utf-16"),
    "nul": b'{"applications": [{"loan_id": "\\u0000"}]}\x00',
    "many": b'{"applications": [' + b"{}," * 300_000 + b"{}]}",
    "many names": json.dumps({"applications": [{f"n{n}": 1 for n in range(60_000)}]}).encode(),
    "long name": json.dumps({"applications": [{"n" * 1_000_000: 1}]}).encode(),
    "blanks": b" " * (1 << 20) + b"{}",
    "prototype": b'{"applications": [{"__proto__": {}, "__class__": 1, "constructor": 2}]}',
    "model": b'{"model": "../../etc/passwd", "applications": [{}]}',
    "packed": gzip.compress(b'{"applications": [' + b"{}," * 5_000_000 + b"{}]}"),
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=[*BOMBS])
@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x",
                                  "application/x-www-form-urlencoded"])  # fmt: skip
def test_hostile_body_is_refused_soon_and_small(
    client: Any, token: Token, night: Session, body: bytes, kind: str
) -> None:
    headers = token("admin") | {"Content-Type": kind}
    if body.startswith(b"\x1f\x8b"):
        headers["Content-Encoding"] = "gzip"
    for path in forms() if IS_LONG else (SCORE, f"{P}/alerts/1"):
        began, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer = client.post(path, content=body, headers=headers, follow_redirects=False)
        assert answer.status_code in (400, 404, 409, 413, 415, 422), (path, answer.text[:300])
        assert len(answer.content) < 100_000, path
        assert not LEAKS.search(answer.text), path
        assert time.monotonic() - began < 5, path
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
        assert grown < 300 << 10, path  # KiB
    assert database.select_read_only(night.connection, "select count(*) from calls")[1] == [[0]]


def test_every_answer_is_kept_by_no_cache_and_guesses_no_type(
    client: Any, token: Token, night: Session
) -> None:
    for headers in ({}, token("viewer"), token("admin")):
        for path in sorted({path.replace("PROBE", "1") for path, _, _ in queried()}):
            answer = client.get(path, headers=headers, follow_redirects=False)
            assert answer.headers["cache-control"] == "no-store", path
            assert answer.headers["x-content-type-options"] == "nosniff", path
            assert "default-src 'self'" in answer.headers["content-security-policy"], path
